//! What a command works with: the settings in force, a client, opened keys, the clock, and the person at the terminal.
//! Never asks a person where nobody sits.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};
use tidegate_domain::digest::Digest;
use tidegate_domain::time::WallTime;
use tidegate_keyring::{KeyFile, KeyReference, SecretSource, Signer};

use crate::client::Client;
use crate::settings::{PassphrasePlace, Settings};

/// What a command works with.
pub(crate) struct Context {
    /// The settings in force.
    pub(crate) settings: Settings,
    /// Whether standard output is for a program.
    pub(crate) json: bool,
}

impl Context {
    /// A client of the server that is set, with the operator's token.
    ///
    /// # Errors
    /// When server or token are not known or not usable.
    pub(crate) fn client(&self) -> Result<Client> {
        let server = self.settings.server()?;
        let token = self.settings.token()?;
        Ok(Client::new(server, Some(token), self.settings.ca_pem()?.as_deref())?)
    }

    /// A client of the server that is set, for what needs no login.
    ///
    /// # Errors
    /// When the server is not known or not usable.
    pub(crate) fn client_without_login(&self) -> Result<Client> {
        Ok(Client::new(self.settings.server()?, None, self.settings.ca_pem()?.as_deref())?)
    }

    /// The digest of root 1.
    ///
    /// # Errors
    /// When it is not known.
    pub(crate) fn fleet(&self) -> Result<Digest> {
        self.settings.fleet()
    }

    /// Opens the key that somebody wrote after a flag: a path, a name in the key folder, or a `pkcs11:` URI.
    ///
    /// # Errors
    /// When it names no key or the key does not open.
    pub(crate) fn open_key(&self, text: &str) -> Result<Box<dyn Signer>> {
        let reference = self.key_reference(text)?;
        self.with_secrets(|source| Ok(reference.open(source)?))
    }

    /// The public half of a key: 64 digits, or of a key file without unlocking it, or of a key on a token.
    ///
    /// # Errors
    /// When it names no key.
    pub(crate) fn public_key(&self, text: &str) -> Result<[u8; 32]> {
        let mut bytes = [0; 32];
        if hex::decode_to_slice(text, &mut bytes).is_ok() {
            return Ok(bytes);
        }
        match self.locked_public_key(text)? {
            Some(public_key) => Ok(public_key),
            None => Ok(self.open_key(text)?.public_key()),
        }
    }

    /// The public half of a key file, without a passphrase; none for a key on a token.
    ///
    /// # Errors
    /// When it names no key.
    pub(crate) fn locked_public_key(&self, text: &str) -> Result<Option<[u8; 32]>> {
        match self.key_reference(text)? {
            KeyReference::File(path) => Ok(Some(KeyFile::read(&path)?.public_key())),
            KeyReference::Pkcs11 { .. } => Ok(None),
        }
    }

    /// A passphrase for new keys; at a terminal it is asked for twice.
    ///
    /// # Errors
    /// When there is none or it is too short.
    pub(crate) fn new_passphrase(&self, what: &str) -> Result<SecretString> {
        if self.settings.passphrase != PassphrasePlace::Terminal {
            return self.with_secrets(|source| Ok(source.new_passphrase(what)?));
        }
        let twice = |what: &str| {
            let first = ask_hidden(what)?;
            let second = ask_hidden(&format!("{what} once more"))?;
            if first.expose_secret() != second.expose_secret() {
                return Err(io::Error::other("the two differ; right is the same one twice"));
            }
            Ok(first)
        };
        Ok(SecretSource::Ask(&twice).new_passphrase(what)?)
    }

    /// Shows what is about to happen and, at a terminal, asks whether it may. `yes` answers beforehand.
    ///
    /// # Errors
    /// When the person says anything but yes.
    pub(crate) fn confirm(&self, shown: &str, question: &str, yes: bool) -> Result<()> {
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "{}", shown.trim_end());
        if yes || !io::stdin().is_terminal() {
            return Ok(());
        }
        let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).context("cannot read the answer")?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("not confirmed, nothing was signed; right is `y`, or --yes beforehand");
        }
        Ok(())
    }

    fn with_secrets<T>(&self, open: impl FnOnce(&SecretSource<'_>) -> Result<T>) -> Result<T> {
        match &self.settings.passphrase {
            PassphrasePlace::Environment(name) => open(&SecretSource::Environment(name.clone())),
            PassphrasePlace::File(path) => open(&SecretSource::File(path.clone())),
            PassphrasePlace::Terminal => open(&SecretSource::Ask(&ask_hidden)),
        }
    }

    fn key_reference(&self, text: &str) -> Result<KeyReference> {
        let reference: KeyReference = text.parse()?;
        let KeyReference::File(path) = &reference else { return Ok(reference) };
        let bare = path.components().count() == 1;
        let Some(folder) = self.settings.key_dir.as_ref().filter(|_| bare && !path.exists()) else {
            return Ok(reference);
        };
        let name: PathBuf = if text.ends_with(".key") { text.into() } else { format!("{text}.key").into() };
        Ok(KeyReference::File(folder.join(name)))
    }
}

/// The wall clock.
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn ask_hidden(what: &str) -> io::Result<SecretString> {
    if !io::stdin().is_terminal() {
        return Err(io::Error::other(
            "there is no terminal; right is --passphrase-env VARIABLE or --passphrase-file FILE",
        ));
    }
    rpassword::prompt_password(format!("{what}: ")).map(SecretString::from)
}
