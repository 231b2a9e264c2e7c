//! Starting and stopping a server.

use std::fs::{File, OpenOptions as OpenFile, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use object_store::local::LocalFileSystem;
use tidegate_control::command::{Command, Founding};
use tidegate_control::contract::{Request, StoreEpoch};
use tidegate_domain::digest::Digest;
use tidegate_domain::time::Elapsed;
use tidegate_store::{OpenOptions, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, Parts};
use crate::clock::now;
use crate::conductor::{Desk, Surroundings};
use crate::halts::Halts;
use crate::keys::ServerKeys;
use crate::oidc;
use crate::presence::Presence;
use crate::random;
use crate::routes::routes;
use crate::serve::{self, Service};
use crate::sessions::Sessions;
use crate::webhooks::{self, Deliveries};

/// The store's file in the data folder.
pub(crate) const DATABASE: &str = "tidegate.db";
const LOGIN_LIFE: Elapsed = Elapsed::from_s(3_600);
const SETTLE_EVERY: Duration = Duration::from_secs(1);

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where records, artifacts and the halt file live. One server at a time.
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
    /// The most bytes of an artifact.
    pub artifact_bytes_max: u64,
    /// The most bytes of the store's file; none for as many as there is room for.
    pub store_bytes_max: Option<u64>,
    /// The most connections at once.
    pub connections_max: usize,
    /// How long a request may take, uploads apart.
    pub request_timeout: Elapsed,
    /// A file that names whom the account goes to.
    pub webhooks: Option<PathBuf>,
    /// Where people get to it, where that is not the address it listens on: behind a proxy that speaks TLS.
    pub public_url: Option<String>,
    /// A file that names an OpenID Connect provider, and who of its people is which operator.
    pub oidc: Option<PathBuf>,
}

impl Settings {
    /// Usual settings for a data folder, a fleet folder and an address.
    pub fn new(data: PathBuf, fleet: PathBuf, listen: SocketAddr) -> Settings {
        Settings {
            data,
            fleet,
            listen,
            tls: None,
            idle_check_in: Elapsed::from_s(60),
            step_every: Elapsed::from_s(1),
            artifact_bytes_max: 4 << 30,
            store_bytes_max: None,
            connections_max: 4_096,
            request_timeout: Elapsed::from_s(30),
            webhooks: None,
            public_url: None,
            oidc: None,
        }
    }
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The one-time login code.
    pub login_code: String,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    settling: JoinHandle<()>,
    conductor: std::thread::JoinHandle<anyhow::Result<()>>,
    deliveries: Deliveries,
    /// Held for as long as the server runs.
    _data_lock: File,
}

impl Server {
    /// Starts a server and waits until it is ready: it holds the lease, knows everything recorded, and its fleet is founded.
    ///
    /// # Errors
    /// Says what is missing, broken or taken.
    pub async fn start(settings: Settings) -> anyhow::Result<Server> {
        let data_lock = lock(&settings.data)?;
        let receivers = settings.webhooks.as_deref().map(webhooks::read).transpose()?.unwrap_or_default();
        let tls = settings.tls.as_ref().map(|(chain, key)| serve::tls(chain, key)).transpose()?;
        let listener =
            TcpListener::bind(settings.listen).await.with_context(|| format!("listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let base = base(&settings, address);
        let is_known = settings.public_url.is_some() || !address.ip().is_unspecified();
        ensure!(
            settings.oidc.is_none() || is_known,
            "oidc: {address} is no address that a provider could send people back to: public_url is missing"
        );
        let provider = settings.oidc.as_deref().map(|file| oidc::read(file, &base)).transpose()?;
        let browsers = Sessions::new(base.starts_with("https://"), provider);
        let (app, conductor) = open(&settings, browsers, stopped.clone()).await?;
        let deliveries = Deliveries::begin(&app, receivers, &settings.data.join("webhooks"))?;
        let service = Service { routes: routes(app.clone()), tls, connections_max: settings.connections_max };
        // Served before it is ready: a halt must get through to a server that cannot write yet.
        let serving = tokio::spawn(serve::serve(listener, service, stopped));
        let settling = tokio::spawn(settle(app.clone()));
        let founded = match found(&app, &settings).await {
            Ok(()) => login_code(&app).await,
            Err(error) => Err(error),
        };
        let mut server = Server {
            address,
            login_code: String::new(),
            app,
            stop,
            serving,
            settling,
            conductor,
            deliveries,
            _data_lock: data_lock,
        };
        match founded {
            Ok(login_code) => {
                server.login_code = login_code;
                Ok(server)
            }
            // If the conduct loop has failed, its error is the one that says what is wrong.
            Err(error) => Err(server.stop().await.err().unwrap_or(error)),
        }
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
        self.settling.abort();
        let _ = self.settling.await;
        let deliveries = self.deliveries;
        tokio::task::spawn_blocking(move || deliveries.end()).await?;
        drop(self.app);
        let conductor = self.conductor;
        tokio::task::spawn_blocking(move || conductor.join()).await?.unwrap_or(Ok(()))
    }
}

/// Where browsers get to it.
fn base(settings: &Settings, address: SocketAddr) -> String {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    settings.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"))
}

/// How this installation calls itself when it asks for the lease: the same after a restart.
pub(crate) fn holder(epoch: &StoreEpoch) -> String {
    format!("server-{epoch}")
}

/// How long a folder's lock is waited for: who begins a program holds the lock in it as well, until that program has taken over.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// Makes sure that no other server uses this folder.
pub(crate) fn lock(data: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(data).with_context(|| format!("data folder {}", data.display()))?;
    let path = data.join("lock");
    let file = OpenFile::new().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("lock file {}", path.display()))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_PATIENCE / 20);
            }
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("data folder {}: another server uses it: stop that one first", data.display())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock file {}", path.display()));
            }
        }
    }
}

async fn open(
    settings: &Settings,
    sessions: Sessions,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<(Arc<App>, std::thread::JoinHandle<anyhow::Result<()>>)> {
    let keys = Arc::new(ServerKeys::open(&settings.fleet)?);
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    let options = OpenOptions { fresh_epoch: StoreEpoch::from_bytes(fresh), size_max_bytes: settings.store_bytes_max };
    let store = SqliteStore::open(&settings.data.join(DATABASE), options).await?;
    let epoch = store.perform(Request::Head).await?.into_head()?.epoch;
    let halts = Halts::open(&settings.data.join("halts"))?;
    let artifacts = settings.data.join("artifacts");
    // What uploads have left behind that were under way when a server was killed.
    let _ = std::fs::remove_dir_all(artifacts.join("upload"));
    std::fs::create_dir_all(&artifacts).with_context(|| format!("artifact folder {}", artifacts.display()))?;
    let artifacts = LocalFileSystem::new_with_prefix(&artifacts)?.with_fsync(true);
    let presence = Arc::new(Presence::new());
    let surroundings = Surroundings {
        store: Arc::new(store),
        keys: keys.clone(),
        presence: presence.clone(),
        holder: holder(&epoch),
        step_every: settings.step_every,
    };
    let (desk, conductor) = Desk::open(tokio::runtime::Handle::current(), surroundings)?;
    let parts = Parts {
        desk,
        presence,
        halts,
        artifacts: Arc::new(artifacts),
        keys,
        store_epoch: epoch.to_string(),
        log: SqliteStore::open_read_only(&settings.data.join(DATABASE)).await?,
        idle_check_in: settings.idle_check_in,
        artifact_bytes_max: settings.artifact_bytes_max,
        request_timeout: settings.request_timeout,
        sessions,
        stopped,
        process: random::token().map_err(|e| anyhow::anyhow!(e.0.detail))?.chars().take(8).collect(),
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
    until_recorded(app, || Command::Found(Box::new(founding.clone()))).await
}

async fn until_recorded(app: &App, command: impl Fn() -> Command) -> anyhow::Result<()> {
    loop {
        match app.desk.ask(command()).await {
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
    let hash = Digest::of(code.as_bytes());
    until_recorded(app, || Command::IssueLogin { code: hash, expires_at_ms: now().after(LOGIN_LIFE) }).await?;
    Ok(code)
}

/// Brings halts into the log that stand only in the halt file.
async fn settle(app: Arc<App>) {
    loop {
        app.settle_halts().await;
        tokio::time::sleep(SETTLE_EVERY).await;
    }
}
