//! Where the server, the token, the keys and the passphrases are: by file, environment and flags, in that rising order.
//! Never holds a secret that it was not asked for, and never sends a token to another server than the one that gave it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tidegate_domain::time::Elapsed;
use tidegate_wire::operator::Role;

use crate::durable_file::{self, Readers};

const FILE_BYTES_MAX: u64 = 64 * 1024;
const HEADING: &str = "Settings (flags before environment before config.toml)";

/// The flags that every command has.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingsArgs {
    /// One JSON value on standard output, and nothing else
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) json: bool,
    /// Configuration file [default: ~/.config/tidegate/config.toml]
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_CONFIG", help_heading = HEADING)]
    pub(crate) config: Option<PathBuf>,
    /// The server, https://HOST:PORT
    #[arg(long, global = true, value_name = "URL", env = "TIDEGATE_SERVER", help_heading = HEADING)]
    server: Option<String>,
    /// File with the operator's token; TIDEGATE_TOKEN holds the token itself [default: what `login` stored]
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_TOKEN_FILE", help_heading = HEADING)]
    token_file: Option<PathBuf>,
    /// Certificates of the authority that signed the server's, in PEM form
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_CA_FILE", help_heading = HEADING)]
    ca_file: Option<PathBuf>,
    /// Digest of root 1, which `trust init` printed [default: the one that `login` saw]
    #[arg(long, global = true, value_name = "DIGEST", env = "TIDEGATE_FLEET", help_heading = HEADING)]
    fleet_digest: Option<Digest>,
    /// Folder where `--key NAME` finds NAME.key
    #[arg(long, global = true, value_name = "DIR", env = "TIDEGATE_KEY_DIR", help_heading = HEADING)]
    key_dir: Option<PathBuf>,
    /// Environment variable that holds the keys' passphrase [default: ask]
    #[arg(long, global = true, value_name = "VARIABLE", conflicts_with = "passphrase_file", help_heading = HEADING)]
    passphrase_env: Option<String>,
    /// File (mode 0600) that holds the keys' passphrase [default: ask]
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    passphrase_file: Option<PathBuf>,
}

/// The configuration file. Unknown fields are refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    server: Option<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    fleet: Option<Digest>,
    key_dir: Option<PathBuf>,
    passphrase_env: Option<String>,
    passphrase_file: Option<PathBuf>,
    #[serde(default)]
    up: UpSettings,
}

/// The part of the configuration file that `tidegate up` reads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpSettings {
    /// The data folder.
    pub(crate) data: Option<PathBuf>,
    /// The server folder that `trust init` made.
    pub(crate) fleet: Option<PathBuf>,
    /// Where to listen.
    pub(crate) listen: Option<String>,
    /// Where people and devices get to it.
    pub(crate) public_url: Option<String>,
    /// Certificate chain in PEM form.
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key in PEM form.
    pub(crate) tls_key: Option<PathBuf>,
    /// `text` or `json`.
    pub(crate) log_format: Option<String>,
    /// How often idle devices check in.
    pub(crate) check_in: Option<Elapsed>,
    /// How often rollouts take a step.
    pub(crate) step: Option<Elapsed>,
    /// Whom the account goes to.
    pub(crate) webhooks: Option<PathBuf>,
    /// Who else says who somebody is.
    pub(crate) oidc: Option<PathBuf>,
}

/// What `login` stored beside the configuration file, mode 0600.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The server that gave the token, and the only one that gets it.
    pub(crate) server: String,
    /// The fleet that it said it serves, pinned from then on.
    pub(crate) fleet: Digest,
    /// Who we are there.
    pub(crate) operator: OperatorName,
    /// What we may do there.
    pub(crate) role: Role,
    /// The bearer token.
    pub(crate) token: String,
}

/// Where keys' passphrases come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PassphrasePlace {
    /// An environment variable.
    Environment(String),
    /// A file.
    File(PathBuf),
    /// The person at the terminal.
    Terminal,
}

/// All settings, in force.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The server's address.
    pub(crate) server: Option<String>,
    /// The authority's certificates.
    pub(crate) ca_file: Option<PathBuf>,
    /// The fleet's digest.
    pub(crate) fleet: Option<Digest>,
    /// Where `--key NAME` looks.
    pub(crate) key_dir: Option<PathBuf>,
    /// Where passphrases come from.
    pub(crate) passphrase: PassphrasePlace,
    /// Where `login` stores what it got.
    pub(crate) login_file: Option<PathBuf>,
    /// For `tidegate up`.
    pub(crate) up: UpSettings,
    token: Option<String>,
    token_file: Option<PathBuf>,
    login: Option<Login>,
}

/// What of the environment is read here and not by the argument parser.
#[derive(Debug, Clone, Default)]
struct Environment {
    token: Option<String>,
    passphrase_env: Option<String>,
    passphrase_file: Option<PathBuf>,
    config_folder: Option<PathBuf>,
}

impl Settings {
    /// Reads the configuration file and what `login` stored, and lays environment and flags over them.
    ///
    /// # Errors
    /// When a file that was named is not there, or one cannot be read or understood.
    pub(crate) fn load(args: &SettingsArgs) -> Result<Settings> {
        Settings::of(args, &Environment::of_process())
    }

    fn of(args: &SettingsArgs, environment: &Environment) -> Result<Settings> {
        let default_path = environment.config_folder.as_ref().map(|folder| folder.join("config.toml"));
        let named = args.config.clone().filter(|path| !path.as_os_str().is_empty());
        let file = match (&named, &default_path) {
            (Some(path), _) => ConfigFile::read(path)?,
            (None, Some(path)) if path.exists() => ConfigFile::read(path)?,
            (None, _) => ConfigFile::default(),
        };
        let login_file = named.or(default_path).map(|path| path.with_file_name("login.json"));
        let login = login_file.as_deref().map(Login::read).transpose()?.flatten();
        let passphrase = passphrase_place(args, environment, &file)?;
        Ok(Settings {
            server: filled(&args.server).or(file.server).or_else(|| login.as_ref().map(|login| login.server.clone())),
            ca_file: named_path(&args.ca_file).or(file.ca_file),
            fleet: args.fleet_digest.or(file.fleet),
            key_dir: named_path(&args.key_dir).or(file.key_dir),
            passphrase,
            login_file,
            up: file.up,
            token: filled(&environment.token),
            token_file: named_path(&args.token_file).or(file.token_file),
            login,
        })
    }

    /// The server's address.
    ///
    /// # Errors
    /// When none is known.
    pub(crate) fn server(&self) -> Result<&str> {
        self.server.as_deref().context(
            "no server is set; right is --server URL, TIDEGATE_SERVER, `server` in config.toml, or `tidegate login URL`",
        )
    }

    /// The digest of root 1: set, or seen at login.
    ///
    /// # Errors
    /// When none is known.
    pub(crate) fn fleet(&self) -> Result<Digest> {
        let seen = self.login.as_ref().filter(|login| self.is_server(&login.server)).map(|login| login.fleet);
        self.fleet.or(seen).context(
            "no fleet is set; right is --fleet-digest DIGEST (from fleet.json), TIDEGATE_FLEET, `fleet` in config.toml, or `tidegate login`",
        )
    }

    /// The operator's token for the server that is set.
    ///
    /// # Errors
    /// When there is none for that server, or its file cannot be used.
    pub(crate) fn token(&self) -> Result<SecretString> {
        if let Some(token) = &self.token {
            return checked_token(token, "TIDEGATE_TOKEN");
        }
        if let Some(path) = &self.token_file {
            durable_file::refuse_open_mode(path)?;
            let text = durable_file::read_text(path, FILE_BYTES_MAX)?;
            return checked_token(text.trim_end(), &path.display().to_string());
        }
        match &self.login {
            Some(login) if self.is_server(&login.server) => checked_token(&login.token, "login.json"),
            Some(login) => bail!(
                "the stored token is for {} and is not sent to {}; run `tidegate login` there",
                login.server,
                self.server()?
            ),
            None => bail!("not logged in at {}; run `tidegate login URL --code CODE`", self.server()?),
        }
    }

    /// The authority's certificates, where a file names them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn ca_pem(&self) -> Result<Option<Vec<u8>>> {
        self.ca_file.as_deref().map(|path| durable_file::read(path, 1 << 20)).transpose()
    }

    fn is_server(&self, server: &str) -> bool {
        self.server.as_deref().is_some_and(|set| set.trim_end_matches('/') == server.trim_end_matches('/'))
    }
}

impl Login {
    fn read(path: &Path) -> Result<Option<Login>> {
        if !path.exists() {
            return Ok(None);
        }
        durable_file::refuse_open_mode(path)?;
        let bytes = durable_file::read(path, FILE_BYTES_MAX)?;
        let login = serde_json::from_slice(&bytes).map_err(|e| {
            // Without the text around the place: it holds a token.
            anyhow::anyhow!(
                "{} is damaged (line {}, column {}); remove it and run `tidegate login` again",
                path.display(),
                e.line(),
                e.column()
            )
        })?;
        Ok(Some(login))
    }

    /// Stores it, mode 0600.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            durable_file::create_private_folder(folder)?;
        }
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        durable_file::replace(path, &bytes, Readers::Owner)
    }
}

impl ConfigFile {
    fn read(path: &Path) -> Result<ConfigFile> {
        let text = durable_file::read_text(path, FILE_BYTES_MAX)?;
        toml::from_str(&text).with_context(|| format!("configuration file {}", path.display()))
    }
}

impl Environment {
    fn of_process() -> Environment {
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config_folder = path("XDG_CONFIG_HOME")
            .or_else(|| path("HOME").map(|home| home.join(".config")))
            .or_else(|| path("APPDATA"))
            .map(|folder| folder.join("tidegate"));
        Environment {
            token: env::var("TIDEGATE_TOKEN").ok(),
            passphrase_env: env::var("TIDEGATE_PASSPHRASE_ENV").ok(),
            passphrase_file: path("TIDEGATE_PASSPHRASE_FILE"),
            config_folder,
        }
    }
}

/// The first layer that names a place decides; one that names two contradicts itself.
fn passphrase_place(args: &SettingsArgs, environment: &Environment, file: &ConfigFile) -> Result<PassphrasePlace> {
    let layers = [
        ("flags", &args.passphrase_env, &args.passphrase_file),
        ("environment", &environment.passphrase_env, &environment.passphrase_file),
        ("config.toml", &file.passphrase_env, &file.passphrase_file),
    ];
    for (layer, variable, path) in layers {
        match (filled(variable), named_path(path)) {
            (Some(_), Some(_)) => {
                bail!("{layer}: both passphrase_env and passphrase_file are set; right is one of them")
            }
            (Some(variable), None) => return Ok(PassphrasePlace::Environment(variable)),
            (None, Some(path)) => return Ok(PassphrasePlace::File(path)),
            (None, None) => {}
        }
    }
    Ok(PassphrasePlace::Terminal)
}

/// A token that can stand in a header. The token itself is never repeated.
fn checked_token(token: &str, place: &str) -> Result<SecretString> {
    let right = (1..=1024).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    if right {
        return Ok(SecretString::from(token));
    }
    bail!("the token from {place} is no token; right is one line of 1 to 1024 characters without spaces")
}

fn filled(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn named_path(path: &Option<PathBuf>) -> Option<PathBuf> {
    path.clone().filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(folder: &Path) -> Environment {
        Environment { config_folder: Some(folder.to_owned()), ..Environment::default() }
    }

    fn write(folder: &Path, name: &str, text: &str) {
        durable_file::replace(&folder.join(name), text.as_bytes(), Readers::Owner).unwrap();
    }

    #[test]
    fn flags_outrank_the_environment_and_that_outranks_the_file() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "config.toml", "server = \"https://file\"\npassphrase_env = \"FROM_FILE\"\n");
        let mut environment = environment(folder.path());
        let mut args = SettingsArgs::default();
        let settings = Settings::of(&args, &environment).unwrap();
        assert_eq!(settings.server.as_deref(), Some("https://file"));
        assert_eq!(settings.passphrase, PassphrasePlace::Environment("FROM_FILE".into()));
        environment.passphrase_file = Some("/from/environment".into());
        let settings = Settings::of(&args, &environment).unwrap();
        assert_eq!(settings.passphrase, PassphrasePlace::File("/from/environment".into()));
        args.passphrase_env = Some("FROM_FLAG".into());
        args.server = Some("https://flag".into());
        let settings = Settings::of(&args, &environment).unwrap();
        assert_eq!(settings.server.as_deref(), Some("https://flag"));
        assert_eq!(settings.passphrase, PassphrasePlace::Environment("FROM_FLAG".into()));
    }

    #[test]
    fn a_token_is_never_sent_to_another_server_than_the_one_that_gave_it() {
        let folder = tempfile::tempdir().unwrap();
        let login = Login {
            server: "https://one".into(),
            fleet: Digest::of(b"root"),
            operator: "ada".parse().unwrap(),
            role: Role::Viewer,
            token: "t".into(),
        };
        login.write(&folder.path().join("login.json")).unwrap();
        let mut args = SettingsArgs::default();
        let settings = Settings::of(&args, &environment(folder.path())).unwrap();
        assert_eq!(settings.server().unwrap(), "https://one");
        assert!(settings.token().is_ok() && settings.fleet().is_ok());
        args.server = Some("https://two".into());
        let settings = Settings::of(&args, &environment(folder.path())).unwrap();
        assert!(settings.token().unwrap_err().to_string().contains("is not sent to https://two"));
        assert!(settings.fleet().is_err(), "another server's word for the fleet counts for nothing");
    }

    #[test]
    fn a_configuration_file_that_was_named_must_be_there_and_hold_known_fields() {
        let folder = tempfile::tempdir().unwrap();
        let args = SettingsArgs { config: Some(folder.path().join("none.toml")), ..SettingsArgs::default() };
        assert!(Settings::of(&args, &Environment::default()).is_err());
        write(folder.path(), "config.toml", "sevrer = \"x\"\n");
        let error = Settings::of(&SettingsArgs::default(), &environment(folder.path())).unwrap_err();
        assert!(format!("{error:#}").contains("sevrer"), "{error:#}");
    }
}
