//! Which servers a token may go to, and which certificates they must show.

use std::sync::Arc;

use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, parse_pem};

use super::ClientError;

/// Refuses an address to which a token must not go. Says whether it is this host.
///
/// # Errors
/// When it is no base URL, or plain HTTP to another host.
pub(crate) fn check_address(server: &str) -> Result<bool, ClientError> {
    let refuse = |problem: &str| ClientError::Address {
        address: server.chars().take(200).collect(),
        problem: problem.to_owned(),
    };
    let uri: Uri = server.parse().map_err(|_| refuse("it is no URL"))?;
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refuse("it names no host, or a user"));
    }
    if uri.path_and_query().is_some_and(|path| !path.as_str().is_empty() && path.as_str() != "/") {
        return Err(refuse("it has a path"));
    }
    match uri.scheme_str() {
        Some("https") => Ok(loopback),
        Some("http") if loopback => Ok(true),
        Some("http") => Err(refuse("plain HTTP would show the token to the network")),
        _ => Err(refuse("its scheme is neither https nor http")),
    }
}

pub(super) fn root_certs(pem: &[u8]) -> Result<RootCerts, ClientError> {
    let refuse = |problem: String| ClientError::CaFile { problem };
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| refuse(e.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(refuse("it holds no certificate".to_owned()));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_plain_http_to_this_host_only() {
        for right in ["http://127.0.0.1:7440", "http://[::1]:7440/", "http://localhost:1", "https://tidegate.example"] {
            assert!(check_address(right).is_ok(), "{right}");
        }
        for wrong in [
            "http://tidegate.example",
            "http://127.0.0.1.example",
            "ftp://127.0.0.1",
            "127.0.0.1:7440",
            "https://",
            "https://user@host",
            "https://host/api",
            "",
            "http://localhost@evil.example",
        ] {
            let error = check_address(wrong).unwrap_err();
            assert!(error.to_string().contains("right is https://HOST:PORT"), "{wrong}: {error}");
        }
    }
}
