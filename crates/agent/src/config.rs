//! The agent's configuration: a TOML file, then the environment, then flags; each overrides the one before.
//! Everything is parsed into a type that says it is valid. Nothing is read from the data folder here.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::{AttributeValue, Attributes};
use tidegate_domain::ids::{AttributeName, ContractName, DeviceId, PackageName};
use tidegate_domain::release::Probe;
use tidegate_wire::device::PACKAGES_MAX;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::invariant::PATHS_MAX;
use crate::server::ProxySettings;

/// Settings.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// A TOML file with these settings; environment and flags override it.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// The device's folder: key, trust, slots, reports.
    #[arg(long, value_name = "DIR", env = "TIDEGATE_AGENT_DATA")]
    data: Option<PathBuf>,
    /// The enrolment token; needed until the device has enrolled.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_AGENT_TOKEN")]
    token: Option<PathBuf>,
    /// The device's id. Without it: `device-` and the beginning of its key's id.
    #[arg(long, value_name = "ID", env = "TIDEGATE_AGENT_DEVICE")]
    device: Option<DeviceId>,
    /// An attribute that matters for safety, signed at enrolment; the token must allow it. Repeat for more.
    #[arg(long = "attr", value_name = "NAME=VALUE", env = "TIDEGATE_AGENT_ATTR", value_delimiter = ',')]
    attributes: Vec<String>,
    /// A package that the device follows. Repeat for more. Those with a --payload are followed anyway.
    #[arg(long = "package", value_name = "NAME", env = "TIDEGATE_AGENT_PACKAGE", value_delimiter = ',')]
    packages: Vec<PackageName>,
    /// The command that runs a package, split at white space, without a shell. Repeat for more.
    #[arg(long = "payload", value_name = "NAME=COMMAND")]
    payloads: Vec<String>,
    /// A contract that the device itself offers to releases, with its level. Repeat for more.
    #[arg(long, value_name = "NAME=LEVEL", env = "TIDEGATE_AGENT_OFFERS", value_delimiter = ',')]
    offers: Vec<String>,
    /// Certificates (PEM) that an https:// server may show.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_AGENT_CA")]
    ca: Option<PathBuf>,
    /// The proxy to reach servers through, for example http://proxy:3128; `none` for none whatever the environment says. Without it:
    /// HTTPS_PROXY or ALL_PROXY. Servers on loopback are asked directly.
    #[arg(long, value_name = "URL", env = "TIDEGATE_AGENT_PROXY")]
    proxy: Option<String>,
    /// Hosts to ask directly: `host`, `.domain`, `*.domain` or `*`. Without it: NO_PROXY. Repeat for more.
    #[arg(long = "no-proxy", value_name = "HOST", env = "TIDEGATE_AGENT_NO_PROXY", value_delimiter = ',')]
    no_proxy: Vec<String>,
    /// Install and start nothing: check offers, say what would have been taken, and say whether packages are well by the probes that the
    /// file's [observed] names. For a fleet that something else updates still.
    #[arg(long, env = "TIDEGATE_AGENT_OBSERVE")]
    observe: bool,
    /// A server's base URL, instead of those in the token. Repeat for more; they are tried in turn.
    #[arg(long = "endpoint", value_name = "URL", env = "TIDEGATE_AGENT_ENDPOINT", value_delimiter = ',')]
    endpoints: Vec<String>,
    /// The release that a device has from the factory: a folder with manifest.json and the files that it names. Taken as current and
    /// fallback at the first start, so that there is something to return to. Repeat for more.
    #[arg(long = "initial", value_name = "NAME=DIR")]
    initial: Vec<String>,
    /// A file or folder that no release may delete or empty. One that does is left at once, and its rollout halts everywhere. Repeat for
    /// more.
    #[arg(long = "keep", value_name = "PATH", env = "TIDEGATE_AGENT_KEEP", value_delimiter = ',')]
    keep: Vec<PathBuf>,
    /// A file that nobody has reason to read, such as a made-up credential: whoever's release reads it is left at once, and its rollout
    /// halts everywhere. Repeat for more.
    #[arg(long = "unread", value_name = "PATH", env = "TIDEGATE_AGENT_UNREAD", value_delimiter = ',')]
    unread: Vec<PathBuf>,
    /// How the log on stderr looks; TIDEGATE_LOG sets what is in it, for example `debug`.
    #[arg(long, value_name = "FORMAT", env = "TIDEGATE_AGENT_LOG_FORMAT")]
    log_format: Option<LogFormat>,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub(crate) data: Option<PathBuf>,
    pub(crate) token: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    no_proxy: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<PackageName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keep: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    observe: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<AttributeName, AttributeValue>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    payloads: BTreeMap<PackageName, Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    offers: BTreeMap<ContractName, u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    initial: BTreeMap<PackageName, PathBuf>,
    /// How packages are seen to be well while the device only observes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    observed: BTreeMap<PackageName, Vec<Probe>>,
}

/// What the agent runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The device's folder.
    pub data: PathBuf,
    /// The enrolment token's file.
    pub token: Option<PathBuf>,
    /// The device's id, where it was given.
    pub device: Option<DeviceId>,
    /// What is enrolled.
    pub attributes: Attributes,
    /// The packages, each with the device's own command for it (empty: the release names one).
    pub packages: BTreeMap<PackageName, Vec<String>>,
    /// Contracts that the device itself offers.
    pub offers: BTreeMap<ContractName, u64>,
    /// Certificates to trust.
    pub ca: Option<PathBuf>,
    /// Servers, instead of the token's.
    pub endpoints: Vec<String>,
    /// The proxy on the way to them.
    pub(crate) proxy: ProxySettings,
    /// How packages are seen to be well, where the device takes nothing and only observes.
    pub observed: Option<BTreeMap<PackageName, Vec<Probe>>>,
    /// Releases from the factory.
    pub initial: BTreeMap<PackageName, PathBuf>,
    /// What no release may delete or empty.
    pub keep: Vec<PathBuf>,
    /// What nobody has reason to read.
    pub unread: Vec<PathBuf>,
    /// How the log looks.
    pub log_format: LogFormat,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("--config {path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong; line and column where it is the TOML.
        problem: String,
    },
    /// A setting's value.
    #[error("{flag} {value:?}: {problem}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        problem: String,
    },
    /// A setting that must be there.
    #[error("{0} is missing; see --help")]
    Missing(&'static str),
}

pub(crate) fn merge(cli: Flags) -> Result<Config, ConfigError> {
    let file = cli.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
    let mut attributes = file.attributes;
    attributes.extend(pairs("--attr", &cli.attributes)?);
    let mut packages = file.payloads;
    for text in &cli.payloads {
        let (name, command) = split("--payload", text)?;
        packages.insert(value("--payload", name)?, command.split_whitespace().map(str::to_owned).collect());
    }
    let mut initial = file.initial;
    for text in &cli.initial {
        let (name, folder) = split("--initial", text)?;
        initial.insert(value("--initial", name)?, PathBuf::from(folder));
    }
    let followed = if cli.packages.is_empty() { file.packages } else { cli.packages };
    let named: Vec<_> = initial.keys().chain(file.observed.keys()).cloned().collect();
    for name in followed.into_iter().chain(named) {
        packages.entry(name).or_default();
    }
    if packages.len() > PACKAGES_MAX {
        let problem = format!("at most {PACKAGES_MAX} packages");
        return Err(ConfigError::Value { flag: "--package", value: packages.len().to_string(), problem });
    }
    let mut offers = file.offers;
    offers.extend(pairs("--offers", &cli.offers)?);
    let (keep, unread) = (listed("--keep", cli.keep, file.keep)?, listed("--unread", cli.unread, file.unread)?);
    let count = attributes.len();
    let attributes = Attributes::try_from(attributes).map_err(|e| ConfigError::Value {
        flag: "--attr",
        value: count.to_string(),
        problem: e.to_string(),
    })?;
    Ok(Config {
        data: cli.data.or(file.data).ok_or(ConfigError::Missing("--data DIR"))?,
        token: cli.token.or(file.token),
        device: cli.device.or(file.device),
        attributes,
        packages,
        offers,
        ca: cli.ca.or(file.ca),
        endpoints: if cli.endpoints.is_empty() { file.endpoints } else { cli.endpoints },
        proxy: ProxySettings {
            url: cli.proxy.or(file.proxy),
            direct: if cli.no_proxy.is_empty() { file.no_proxy } else { cli.no_proxy },
        }
        .or_environment(),
        observed: (cli.observe || file.observe).then_some(file.observed),
        initial,
        keep,
        unread,
        log_format: cli.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
    })
}

/// Flags before the file; absolute paths, since nobody knows where an agent is started.
fn listed(flag: &'static str, cli: Vec<PathBuf>, file: Vec<PathBuf>) -> Result<Vec<PathBuf>, ConfigError> {
    let paths = if cli.is_empty() { file } else { cli };
    let wrong = |value: String, problem: String| Err(ConfigError::Value { flag, value, problem });
    if paths.len() > PATHS_MAX {
        return wrong(paths.len().to_string(), format!("at most {PATHS_MAX} paths"));
    }
    match paths.iter().find(|path| !path.is_absolute()) {
        Some(path) => wrong(path.display().to_string(), "expected an absolute path".to_owned()),
        None => Ok(paths),
    }
}

impl File {
    pub(crate) fn read(path: &Path) -> Result<File, ConfigError> {
        let wrong = |problem: String| ConfigError::File { path: path.display().to_string(), problem };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        toml::from_str(&text).map_err(|e| wrong(e.to_string()))
    }
}

impl Flags {
    /// The data folder, which is this one where none is given.
    pub(crate) fn data_or(&mut self, usual: &str) -> PathBuf {
        self.data.get_or_insert_with(|| usual.into()).clone()
    }

    /// The same settings as a file, each checked as for running.
    pub(crate) fn into_file(self) -> Result<File, ConfigError> {
        let config = merge(self)?;
        let (payloads, packages): (BTreeMap<_, _>, BTreeMap<_, _>) =
            config.packages.into_iter().partition(|(_, words)| !words.is_empty());
        Ok(File {
            data: Some(config.data),
            token: config.token,
            ca: config.ca,
            device: config.device,
            endpoints: config.endpoints,
            proxy: config.proxy.url,
            no_proxy: config.proxy.direct,
            packages: packages.into_keys().collect(),
            keep: config.keep,
            unread: config.unread,
            log_format: (config.log_format == LogFormat::Json).then_some(LogFormat::Json),
            observe: config.observed.is_some(),
            attributes: config.attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            payloads,
            offers: config.offers,
            initial: config.initial,
            observed: config.observed.unwrap_or_default(),
        })
    }
}

fn pairs<K, V>(flag: &'static str, texts: &[String]) -> Result<BTreeMap<K, V>, ConfigError>
where
    K: std::str::FromStr<Err: std::fmt::Display> + Ord,
    V: std::str::FromStr<Err: std::fmt::Display>,
{
    let pair = |text: &String| {
        let (name, rest) = split(flag, text)?;
        Ok((value(flag, name)?, value(flag, rest)?))
    };
    texts.iter().map(pair).collect()
}

fn split<'a>(flag: &'static str, text: &'a str) -> Result<(&'a str, &'a str), ConfigError> {
    let problem = || ConfigError::Value { flag, value: text.to_owned(), problem: "expected NAME=VALUE".to_owned() };
    text.split_once('=').ok_or_else(problem)
}

fn value<T: std::str::FromStr<Err: std::fmt::Display>>(flag: &'static str, text: &str) -> Result<T, ConfigError> {
    text.parse().map_err(|e: T::Err| ConfigError::Value { flag, value: text.to_owned(), problem: e.to_string() })
}

impl Config {
    /// Starts the log on stderr. Where another one runs in the process already, that one stays.
    pub(crate) fn start_log(&self) {
        let wanted: Option<Targets> = std::env::var("TIDEGATE_LOG").ok().and_then(|text| text.parse().ok());
        let filter = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
        let colours = std::io::stderr().is_terminal();
        let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
        let registry = tracing_subscriber::registry();
        let started = match self.log_format {
            LogFormat::Text => registry.with(layer.with_filter(filter)).try_init(),
            LogFormat::Json => registry.with(layer.json().with_filter(filter)).try_init(),
        };
        if let Err(error) = started {
            tracing::debug!("log: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::task::{Stop, Task, from_args};

    fn config(args: &[&str]) -> Result<Config, String> {
        let args = std::iter::once("tidegate-agent").chain(args.iter().copied()).map(OsString::from);
        match from_args(args) {
            Ok(Task::Run(config)) => Ok(*config),
            Ok(Task::Install(_) | Task::Status(_)) => Err("another task".to_owned()),
            Err(Stop::Help { text, .. }) => Err(text.to_string()),
            Err(Stop::Wrong(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn flags_override_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        let text = "data = \"/a\"\ndevice = \"x\"\n[attributes]\nos = \"linux\"\nsite = \"ams\"\n[payloads]\np = [\"run\", \"a b\"]\n";
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let config =
            config(&["--config", path, "--data", "/b", "--attr", "os=windows", "--payload", "q=x {slot}  y"]).unwrap();
        assert_eq!(config.data, PathBuf::from("/b"));
        assert_eq!(config.device.unwrap().as_str(), "x");
        assert_eq!(config.attributes.get(&"os".parse().unwrap()).unwrap().as_str(), "windows");
        assert_eq!(config.packages[&"p".parse().unwrap()], ["run", "a b"]);
        assert_eq!(config.packages[&"q".parse().unwrap()], ["x", "{slot}", "y"]);
    }

    #[test]
    fn the_settings_that_are_shipped_can_be_used_with_all_their_suggestions() {
        let shipped = include_str!("../../../deploy/agent.toml");
        let is_a_suggestion = |line: &&str| line.contains(" = ") || line.starts_with('[');
        let uncomment = |line: &'static str| line.strip_prefix("# ").filter(is_a_suggestion).unwrap_or(line);
        for text in [shipped.to_owned(), shipped.lines().map(uncomment).collect::<Vec<_>>().join("\n")] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("agent.toml");
            std::fs::write(&path, &text).unwrap();
            let config = config(&["--config", path.to_str().unwrap(), "--package", "site"]).unwrap();
            assert_eq!(config.data, PathBuf::from("/var/lib/tidegate-agent"));
            assert_eq!(config.observed.is_some(), config.ca.is_some(), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_flag_the_value_and_what_would_be_right() {
        for (args, part) in [
            (&["--data", "/a"][..], "--payload or --package is missing"),
            (&["--package", "p"], "--data DIR is missing"),
            (&["--data", "/a", "--package", "../p"], "is not a package name"),
            (&["--data", "/a", "--package", "p", "--attr", "os"], "--attr \"os\": expected NAME=VALUE"),
            (&["--data", "/a", "--package", "p", "--offers", "api=high"], "--offers \"high\""),
            (&["--data", "/a", "--package", "p", "--keep", "b"], "--keep \"b\": expected an absolute path"),
            (&["--config", "/nonexistent.toml"], "/nonexistent.toml"),
        ] {
            let error = config(args).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
