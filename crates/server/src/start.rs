//! Starting and stopping a server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use object_store::local::LocalFileSystem;
use tidegate_control::command::{Command, Founding};
use tidegate_control::contract::{Request, StoreEpoch};
use tidegate_domain::digest::Digest;
use tidegate_domain::time::Elapsed;
use tidegate_store::{OpenOptions, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::{App, Parts};
use crate::clock::now;
use crate::conductor::{Desk, Surroundings};
use crate::halts::Halts;
use crate::keys::ServerKeys;
use crate::presence::Presence;
use crate::{device_api, random};

const LOGIN_LIFE: Elapsed = Elapsed::from_s(3_600);

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where records, artifacts and the halt file live.
    pub data: PathBuf,
    /// What `trust init` made for the server: keys, credential, and `fleet/` with what root signed.
    pub fleet: PathBuf,
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Certificate chain and key (PEM files); without them plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How often idle devices check in.
    pub idle_check_in: Elapsed,
    /// How often rollouts take a step.
    pub step_every: Elapsed,
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The one-time login code.
    pub login_code: String,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
    conductor: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl Server {
    /// Starts a server and waits until it is ready: it holds the lease, knows everything recorded, and its fleet is founded.
    ///
    /// # Errors
    /// Says what is missing, broken or taken.
    pub async fn start(settings: Settings) -> anyhow::Result<Server> {
        std::fs::create_dir_all(&settings.data).with_context(|| format!("data folder {}", settings.data.display()))?;
        let listener =
            TcpListener::bind(settings.listen).await.with_context(|| format!("listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let (app, conductor) = open(&settings).await?;
        found(&app, &settings).await?;
        let login_code = login_code(&app).await?;
        let (stop, stopped) = watch::channel(false);
        let routes = routes(app.clone());
        let serving = tokio::spawn(serve(listener, routes, app.clone(), stopped));
        Ok(Server { address, login_code, app, stop, serving, conductor })
    }

    /// The server, as its handlers see it.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Stops: no new requests, those under way are finished, everything recorded is durable anyway.
    ///
    /// # Errors
    /// When the conduct loop ended with an error.
    pub async fn stop(self) -> anyhow::Result<()> {
        let _ = self.stop.send(true);
        let _ = self.serving.await;
        drop(self.app);
        let conductor = self.conductor;
        tokio::task::spawn_blocking(move || conductor.join()).await?.unwrap_or(Ok(()))
    }
}

async fn open(settings: &Settings) -> anyhow::Result<(Arc<App>, std::thread::JoinHandle<anyhow::Result<()>>)> {
    let keys = Arc::new(ServerKeys::open(&settings.fleet)?);
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    let options = OpenOptions { fresh_epoch: StoreEpoch::from_bytes(fresh), size_max_bytes: None };
    let store = SqliteStore::open(&settings.data.join("tidegate.db"), options).await?;
    let epoch = store.perform(Request::Head).await?.into_head()?.epoch.to_string();
    let halts = Halts::open(&settings.data.join("halts"))?;
    let artifacts = settings.data.join("artifacts");
    std::fs::create_dir_all(&artifacts).with_context(|| format!("artifact folder {}", artifacts.display()))?;
    let artifacts = LocalFileSystem::new_with_prefix(&artifacts)?;
    let presence = Arc::new(Presence::new());
    let surroundings = Surroundings {
        store,
        keys: keys.clone(),
        presence: presence.clone(),
        holder: format!("server-{epoch}"),
        step_every: settings.step_every,
    };
    let (desk, conductor) = Desk::open(tokio::runtime::Handle::current(), surroundings)?;
    let parts = Parts {
        desk,
        presence,
        halts,
        artifacts: Arc::new(artifacts),
        keys,
        store_epoch: epoch,
        idle_check_in: settings.idle_check_in,
    };
    Ok((Arc::new(App::new(parts)), conductor))
}

async fn found(app: &App, settings: &Settings) -> anyhow::Result<()> {
    let fleet = settings.fleet.join("fleet");
    let read = |name: &str| {
        let path = fleet.join(name);
        std::fs::read(&path).with_context(|| format!("{}: made by `tidegate trust init`", path.display()))
    };
    let founding = Founding {
        root: read("1.root.json")?,
        targets: read("1.targets.json")?,
        key_list: serde_json::from_slice(&read("key-list.json")?).context("key-list.json")?,
        envelope: serde_json::from_slice(&read("envelope.json")?).context("envelope.json")?,
    };
    loop {
        match app.desk.ask(Command::Found(Box::new(founding.clone()))).await {
            Ok(_) => return Ok(()),
            // Another server holds the lease, or the store is busy: wait for it as long as it takes.
            Err(refusal) if refusal.kind.starts_with("store_") => {
                tracing::info!(%refusal, "waiting for the store");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(refusal) => anyhow::bail!("{refusal}"),
        }
    }
}

async fn login_code(app: &App) -> anyhow::Result<String> {
    let code = random::token().map_err(|e| anyhow::anyhow!(e.0.detail))?;
    let code = format!("{}-{}-{}", &code[..6], &code[6..12], &code[12..18]);
    let command = Command::IssueLogin { code: Digest::of(code.as_bytes()), expires_at_ms: now().after(LOGIN_LIFE) };
    app.desk.ask(command).await?;
    Ok(code)
}

fn routes(app: Arc<App>) -> Router {
    Router::new().nest("/device/v1", device_api::routes()).with_state(app)
}

async fn serve(listener: TcpListener, routes: Router, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let settle = tokio::spawn(async move {
        loop {
            app.settle_halts().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let until_stopped = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(until_stopped).await {
        tracing::error!(%error, "serving ended");
    }
    settle.abort();
}
