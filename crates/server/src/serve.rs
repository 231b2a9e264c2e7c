//! Taking connections: as many as allowed, over TLS where there is a certificate, each with a time limit for its headers.
//!
//! When asked to stop it takes no more, lets what is under way finish for a while, and ends. It knows nothing of routes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::unstalled::Unstalled;

const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer waits for a peer that does not read it.
const READ_PATIENCE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const HEADER_BYTES_MAX: usize = 64 << 10;

/// What is served, and how.
pub(crate) struct Service {
    pub(crate) routes: Router,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) connections_max: usize,
}

/// A TLS acceptor for a certificate chain and its key, in PEM files.
///
/// # Errors
/// Names the file that cannot be used.
pub(crate) fn tls(chain: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| anyhow::anyhow!("certificate chain {}: {e}", chain.display()))?;
    anyhow::ensure!(!certificates.is_empty(), "certificate chain {}: it holds no certificate", chain.display());
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| anyhow::anyhow!("key {}: {e}", key.display()))?;
    // The provider is named, not installed for the process: whoever shares this process may want another.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .with_context(|| format!("certificate {} and key {}", chain.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until told to stop.
pub(crate) async fn serve(listener: TcpListener, service: Service, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(service.connections_max));
    let service = Arc::new(service);
    let graceful = Arc::new(GracefulShutdown::new());
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, place)) => {
                connections.spawn(connection(stream, place, service.clone(), graceful.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others must end before more can come.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let finish = async {
        if let Some(graceful) = Arc::into_inner(graceful) {
            graceful.shutdown().await;
        }
        while connections.join_next().await.is_some() {}
    };
    let _ = tokio::time::timeout(STOP_PATIENCE, finish).await;
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn connection(
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    service: Arc<Service>,
    graceful: Arc<GracefulShutdown>,
) {
    let Some(tls) = &service.tls else { return answer(stream, service.routes.clone(), graceful).await };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, service.routes.clone(), graceful).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
        Err(_) => tracing::debug!("the TLS handshake took too long"),
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    graceful: Arc<GracefulShutdown>,
) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(Unstalled::new(stream, READ_PATIENCE)), TowerToHyperService::new(routes));
    let connection = graceful.watch(connection);
    // Held no longer than needed: whoever shuts down waits for the last one to let go.
    drop(graceful);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}
