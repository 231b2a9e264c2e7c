//! The way to a server: which endpoints, which certificates are trusted there, and through which proxy.
//!
//! An endpoint on loopback is never asked through a proxy. A proxy sees TLS pass by and no more.

use std::net::IpAddr;
use std::path::Path;

use ureq::Proxy;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

const ENDPOINTS_MAX: usize = 16;
/// Where the environment names a proxy, in this order.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Where it names hosts that are asked directly.
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Why an endpoint or a certificate file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WayError {
    /// Anybody on the way could read and change it.
    #[error("endpoint {0}: plain HTTP is accepted on loopback only (127.0.0.0/8, [::1], localhost); use https://")]
    PlainHttp(String),
    /// Not a URL of an endpoint.
    #[error("endpoint {0}: expected https://HOST[:PORT] without a path")]
    Url(String),
    /// HTTPS without knowing whom to trust.
    #[error("endpoint {0}: https:// needs --ca FILE with the certificates (PEM) to trust")]
    NoRoots(String),
    /// The certificate file.
    #[error("cannot use the certificates in {path}: {problem}")]
    Roots {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The proxy.
    #[error("proxy {0}: expected http://[USER:PASSWORD@]HOST:PORT, or https:// or socks5:// in its place")]
    Proxy(String),
    /// None, or too many.
    #[error("{0} endpoints: expected 1 to {ENDPOINTS_MAX}")]
    Count(usize),
}

/// What the settings and the environment say of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProxySettings {
    /// Its URL; `none` for none at all.
    pub(crate) url: Option<String>,
    /// Hosts that are asked directly: `host`, `.domain`, `*.domain`, `*`.
    pub(crate) direct: Vec<String>,
}

/// A way to a server, checked.
pub(super) struct Way {
    pub(super) endpoints: Vec<String>,
    pub(super) tls: TlsConfig,
    pub(super) proxy: Option<Proxy>,
}

impl ProxySettings {
    /// What is not set is looked for in the environment, as other programs do.
    pub(crate) fn or_environment(self) -> ProxySettings {
        self.or(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn or(self, variable: impl Fn(&str) -> Option<String>) -> ProxySettings {
        let listed = || NO_PROXY_VARIABLES.into_iter().find_map(&variable).unwrap_or_default();
        let direct = if self.direct.is_empty() {
            listed().split(',').map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()).collect()
        } else {
            self.direct
        };
        ProxySettings { url: self.url.or_else(|| PROXY_VARIABLES.into_iter().find_map(&variable)), direct }
    }

    fn proxy(&self, endpoints: &[String]) -> Result<Option<Proxy>, WayError> {
        let Some(url) = self.url.as_deref().filter(|url| *url != "none") else { return Ok(None) };
        // Without the password, which must not reach a log.
        let wrong = || WayError::Proxy(url.rsplit('@').next().unwrap_or_default().chars().take(200).collect());
        let given = Proxy::new(url).map_err(|_| wrong())?;
        let mut proxy = Proxy::builder(given.protocol()).host(given.host()).port(given.port());
        if let Some(username) = given.username() {
            proxy = proxy.username(username);
        }
        if let Some(password) = given.password() {
            proxy = proxy.password(password);
        }
        let uris = endpoints.iter().filter_map(|endpoint| endpoint.parse::<ureq::http::Uri>().ok());
        let hosts: Vec<String> = uris.filter_map(|uri| uri.host().map(str::to_owned)).collect();
        let direct = self.direct.iter().chain(hosts.iter().filter(|host| is_loopback(host)));
        direct.fold(proxy, |proxy, host| proxy.no_proxy(host)).build().map(Some).map_err(|_| wrong())
    }
}

impl Way {
    pub(super) fn to(endpoints: &[String], roots: Option<&Path>, proxy: &ProxySettings) -> Result<Way, WayError> {
        if endpoints.is_empty() || endpoints.len() > ENDPOINTS_MAX {
            return Err(WayError::Count(endpoints.len()));
        }
        let endpoints: Vec<String> = endpoints.iter().map(|e| e.trim_end_matches('/').to_owned()).collect();
        for endpoint in &endpoints {
            check_endpoint(endpoint, roots.is_some())?;
        }
        let certificates = roots.map(read_roots).transpose()?.unwrap_or_default();
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build();
        let proxy = proxy.proxy(&endpoints)?;
        Ok(Way { endpoints, tls, proxy })
    }
}

fn check_endpoint(endpoint: &str, has_roots: bool) -> Result<(), WayError> {
    let wrong = || WayError::Url(endpoint.chars().take(200).collect());
    let uri: ureq::http::Uri = endpoint.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(wrong());
    }
    match uri.scheme_str() {
        Some("https") if has_roots => Ok(()),
        Some("https") => Err(WayError::NoRoots(endpoint.to_owned())),
        Some("http") if is_loopback(authority.host()) => Ok(()),
        Some("http") => Err(WayError::PlainHttp(endpoint.to_owned())),
        _ => Err(wrong()),
    }
}

fn is_loopback(host: &str) -> bool {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || plain.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_roots(path: &Path) -> Result<Vec<ureq::tls::Certificate<'static>>, WayError> {
    let wrong = |problem: String| WayError::Roots { path: path.display().to_string(), problem };
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| wrong(e.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong("no certificate in it (expected PEM)".to_owned()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_refused_beyond_loopback() {
        for good in ["http://127.0.0.1:80", "http://localhost:9", "http://[::1]:9", "http://127.9.9.9"] {
            assert!(check_endpoint(good, false).is_ok(), "{good}");
        }
        for plain in ["http://example.org", "http://10.0.0.1:8080", "http://127.0.0.1.example.org", "http://[::2]"] {
            assert!(matches!(check_endpoint(plain, true), Err(WayError::PlainHttp(_))), "{plain}");
        }
        for wrong in ["", "ftp://127.0.0.1", "127.0.0.1", "http://127.0.0.1/x", "http://a@127.0.0.1", "https://a?b"] {
            assert!(matches!(check_endpoint(wrong, true), Err(WayError::Url(_))), "{wrong:?}");
        }
        assert!(matches!(check_endpoint("https://example.org", false), Err(WayError::NoRoots(_))));
        assert!(check_endpoint("https://example.org:8443", true).is_ok());
    }

    #[test]
    fn a_proxy_is_what_is_set_or_what_the_environment_says_and_never_stands_before_loopback() {
        let environment = |name: &str| match name {
            "https_proxy" => Some("http://proxy.example:3128".to_owned()),
            "NO_PROXY" => Some("direct.example, .inside.example,".to_owned()),
            _ => None,
        };
        let endpoints = ["http://127.0.0.1:7440".to_owned(), "https://gate.example".to_owned()];
        let found = ProxySettings::default().or(environment);
        assert_eq!(found.direct, ["direct.example", ".inside.example"]);
        let proxy = found.proxy(&endpoints).unwrap().unwrap();
        let passed_by = |url: &str| proxy.is_no_proxy(&url.parse().unwrap());
        assert!(!passed_by("https://gate.example/x"));
        for direct in ["http://127.0.0.1:7440/x", "https://direct.example", "https://a.inside.example"] {
            assert!(passed_by(direct), "{direct}");
        }
        let set =
            ProxySettings { url: Some("http://u:p%40ss@other.example:1".to_owned()), direct: vec!["*".to_owned()] };
        let proxy = set.clone().or(environment).proxy(&endpoints).unwrap().unwrap();
        assert_eq!((proxy.host(), proxy.username(), proxy.password()), ("other.example", Some("u"), Some("p@ss")));
        assert!(proxy.is_no_proxy(&"https://gate.example".parse().unwrap()));
        let none = ProxySettings { url: Some("none".to_owned()), ..ProxySettings::default() }.or(environment);
        assert!(none.proxy(&endpoints).unwrap().is_none());
        let wrong = ProxySettings { url: Some("ftp://u:secret@p".to_owned()), ..ProxySettings::default() };
        let error = wrong.proxy(&endpoints).unwrap_err().to_string();
        assert!(error.contains("expected http://") && !error.contains("secret"), "{error}");
    }
}
