//! Requests that this server makes of others: by TLS, or plainly to this host; bounded in time, and led nowhere else.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Whoever asks at an address. `ca_file` has the certificates (PEM) that the other may show; without it those that browsers trust.
///
/// # Errors
/// Names the address or the file, and says what would be right.
pub(crate) fn agent(url: &str, ca_file: Option<&Path>) -> anyhow::Result<Agent> {
    let uri: ureq::http::Uri = url.parse().with_context(|| format!("url {url:?}"))?;
    let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let secure = uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && loopback);
    ensure!(secure, "url {url:?}: expected https://, or http:// on this host");
    let roots = match ca_file {
        None => RootCerts::WebPki,
        Some(path) => {
            let pem = std::fs::read(path).with_context(|| format!("ca_file {}", path.display()))?;
            let certificate = Certificate::from_pem(&pem).with_context(|| format!("ca_file {}", path.display()))?;
            RootCerts::new_with_certs(&[certificate])
        }
    };
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(TIMEOUT))
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots).build());
    if loopback {
        config = config.proxy(None);
    }
    Ok(config.build().new_agent())
}
