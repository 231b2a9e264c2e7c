//! `tidegate up`: the server. Prints where it listens and a one-time login code, and runs until it is told to stop.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tidegate_domain::time::Elapsed;
use tidegate_server::{Server, Settings as ServerSettings};
use tracing_subscriber::EnvFilter;

use crate::client::check_address;
use crate::durable_file::{self, Readers};
use crate::output;
use crate::settings::UpSettings;

/// Examples under `tidegate up --help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  tidegate up --data data --fleet fleet/server
  tidegate up --data data --fleet fleet/server --listen 0.0.0.0:7440 --tls-cert chain.pem --tls-key key.pem

Devices and people reach it under the printed address. The login code is good once, for an hour:
  tidegate login http://127.0.0.1:7440 --code CODE

What it logs: TIDEGATE_LOG, for example TIDEGATE_LOG=debug.";

const CHECK_IN: Elapsed = Elapsed::from_s(60);
const STEP: Elapsed = Elapsed::from_s(1);

/// Run the server
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Where records, artifacts and the halt file live [default: tidegate-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The `server` folder that `tidegate trust init` made
    #[arg(long, value_name = "DIR")]
    fleet: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:7440]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where people and devices get to it, where that is not the address it listens on: behind a proxy that speaks TLS
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Certificate chain, PEM; without it plain HTTP, which agents accept on loopback only
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// How logs are written [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// How often idle devices check in [default: 1min]
    #[arg(long, value_name = "TIME")]
    check_in: Option<Elapsed>,
    /// How often rollouts take a step [default: 1s]
    #[arg(long, value_name = "TIME")]
    step: Option<Elapsed>,
    /// A TOML file that names whom the account goes to as signed webhooks; docs/operate/webhooks.md has an example
    #[arg(long, value_name = "FILE")]
    webhooks: Option<PathBuf>,
    /// A TOML file that names an OpenID Connect provider, and who of its people is which operator; docs/operate/sign-in.md has an example
    #[arg(long, value_name = "FILE")]
    oidc: Option<PathBuf>,
    /// Also write address and login code to this new file (JSON, mode 0600), for programs that start a server
    #[arg(long, value_name = "FILE")]
    announce: Option<PathBuf>,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a started server says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Announcement {
    /// Where people and devices get to it.
    pub(crate) url: String,
    /// Where it listens.
    pub(crate) address: String,
    /// The one-time login code.
    pub(crate) login_code: String,
}

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// When it cannot start, or its conduct loop fails.
pub(crate) fn run(args: &UpArgs, configured: &UpSettings, json: bool) -> Result<output::Answer> {
    start_logs(args, configured)?;
    let mut settings = settings(args, configured)?;
    let tls = settings.tls.is_some();
    let public_url = args.public_url.clone().or_else(|| configured.public_url.clone());
    if let Some(url) = &public_url {
        check_address(url).context("--public-url")?;
        settings.public_url = Some(url.clone());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::start(settings).await?;
        let scheme = if tls { "https" } else { "http" };
        let address = format!("{scheme}://{}", server.address);
        let announcement = Announcement {
            url: public_url.unwrap_or_else(|| address.clone()),
            address,
            login_code: server.login_code.clone(),
        };
        announce(args, &announcement, json)?;
        tell_manager();
        wait_for_the_end().await?;
        server.stop().await
    })?;
    // What a page has asked for may still be simulated: nobody waits for it any more.
    runtime.shutdown_background();
    Ok(output::Answer::shown(0))
}

fn settings(args: &UpArgs, configured: &UpSettings) -> Result<ServerSettings> {
    let fleet = args.fleet.clone().or_else(|| configured.fleet.clone());
    let fleet = fleet.context("--fleet is missing; right is the `server` folder that `tidegate trust init` made")?;
    let listen =
        args.listen.clone().or_else(|| configured.listen.clone()).unwrap_or_else(|| "127.0.0.1:7440".to_owned());
    let listen: SocketAddr =
        listen.parse().with_context(|| format!("--listen {listen}: right is for example 127.0.0.1:7440"))?;
    let cert = args.tls_cert.clone().or_else(|| configured.tls_cert.clone());
    let key = args.tls_key.clone().or_else(|| configured.tls_key.clone());
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => anyhow::bail!("--tls-cert without --tls-key; right is both or none"),
        (None, Some(_)) => anyhow::bail!("--tls-key without --tls-cert; right is both or none"),
    };
    let data = args.data.clone().or_else(|| configured.data.clone()).unwrap_or_else(|| PathBuf::from("tidegate-data"));
    Ok(ServerSettings {
        tls,
        idle_check_in: args.check_in.or(configured.check_in).unwrap_or(CHECK_IN),
        step_every: args.step.or(configured.step).unwrap_or(STEP),
        webhooks: args.webhooks.clone().or_else(|| configured.webhooks.clone()),
        oidc: args.oidc.clone().or_else(|| configured.oidc.clone()),
        ..ServerSettings::new(data, fleet, listen)
    })
}

fn start_logs(args: &UpArgs, configured: &UpSettings) -> Result<()> {
    let configured = configured.log_format.as_deref().map(|text| {
        LogFormat::from_str(text, true).map_err(|_| anyhow::anyhow!("log_format {text:?}: right is text or json"))
    });
    let format = args.log_format.or(configured.transpose()?).unwrap_or(LogFormat::Text);
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

fn announce(args: &UpArgs, announcement: &Announcement, json: bool) -> Result<()> {
    if let Some(path) = &args.announce {
        durable_file::create(path, &serde_json::to_vec(announcement)?, Readers::Owner)?;
    }
    if json {
        output::line(&serde_json::to_string(announcement)?);
    } else {
        output::line(&format!(
            "Listening on {address}\nLog in once, within an hour:  tidegate login {url} --code {code}\n\
             Console: {url}/console/; once logged in, `tidegate console` signs a browser in\n\
             P4 not in force: one server, no auditors. Ctrl-C stops.",
            address = announcement.address,
            url = announcement.url,
            code = announcement.login_code,
        ));
    }
    Ok(())
}

/// Says to whoever manages this service (systemd) that it answers, where somebody does.
fn tell_manager() {
    #[cfg(unix)]
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::debug!("the service manager does not hear: {error}");
    }
}

async fn wait_for_the_end() -> Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            ended = tokio::signal::ctrl_c() => ended?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}
