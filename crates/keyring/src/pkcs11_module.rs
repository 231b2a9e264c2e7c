//! The token vendor's module in this process: loading it, finding a token, logging in; and what can
//! go wrong with a token.
//! A module is loaded once and stays until the process ends: some start threads of their own and do
//! not survive being unloaded. Never looks at keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fmt, fs};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use secrecy::SecretString;

static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// Where on a host a token's key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Address {
    /// The vendor's module, by absolute path.
    pub module_path: PathBuf,
    /// The token's label; exactly one token in the module's slots must have it.
    pub token_label: String,
    /// The label of the private key and of its public key.
    pub key_label: String,
}

impl fmt::Display for Pkcs11Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key `{}` on token `{}` of module {}", self.key_label, self.token_label, self.module_path.display())
    }
}

/// What a session may do to the token's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// A session on the token that `address` names, logged in as its user.
pub(crate) fn log_in(address: &Pkcs11Address, pin: &SecretString, access: Access) -> Result<Session, Pkcs11Error> {
    let module = load(&address.module_path)?;
    let slot = find_token(&module, address)?;
    let session = match access {
        Access::ReadOnly => module.open_ro_session(slot),
        Access::ReadWrite => module.open_rw_session(slot),
    }
    .map_err(|e| module_error(address, "open a session with", &e))?;
    match session.login(UserType::User, Some(pin)) {
        // The process is logged in as a whole; another key of this token is in use.
        Ok(()) | Err(ModuleError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(ModuleError::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
            Err(Pkcs11Error::WrongPin { address: address.clone() })
        }
        Err(ModuleError::Pkcs11(RvError::PinLocked | RvError::PinExpired, _)) => {
            Err(Pkcs11Error::PinLocked { address: address.clone() })
        }
        Err(e) => Err(module_error(address, "log in to", &e)),
    }
}

fn load(path: &Path) -> Result<Pkcs11, Pkcs11Error> {
    let refused = |problem: String| Pkcs11Error::ModulePath { path: path.to_owned(), problem };
    if !path.is_absolute() {
        return Err(refused("it is not an absolute path".to_owned()));
    }
    let canonical = fs::canonicalize(path).map_err(|e| refused(e.to_string()))?;
    if !canonical.is_file() {
        return Err(refused("it is not a file".to_owned()));
    }
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let module = match loaded.get(&canonical) {
        Some(module) => module.clone(),
        None => Pkcs11::new(&canonical).map_err(|e| refused(e.to_string()))?,
    };
    // Each time, for the case that something else in this process finalised it meanwhile.
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(ModuleError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(e) => return Err(refused(e.to_string())),
    }
    loaded.insert(canonical, module.clone());
    Ok(module)
}

fn find_token(module: &Pkcs11, address: &Pkcs11Address) -> Result<Slot, Pkcs11Error> {
    let slots = module.get_slots_with_initialized_token().map_err(|e| module_error(address, "list", &e))?;
    let mut present = Vec::new();
    let mut matching = Vec::new();
    for slot in slots {
        // A token that cannot be asked (pulled out this moment) is not the one that is wanted.
        let Ok(info) = module.get_token_info(slot) else {
            continue;
        };
        let label = info.label().trim_end();
        if label == address.token_label {
            matching.push(slot);
        }
        present.push(format!("`{label}`"));
    }
    match matching.as_slice() {
        [one] => Ok(*one),
        [] if present.is_empty() => Err(Pkcs11Error::NoToken { address: address.clone(), present: "none".to_owned() }),
        [] => Err(Pkcs11Error::NoToken { address: address.clone(), present: present.join(", ") }),
        many => Err(Pkcs11Error::ManyTokens { address: address.clone(), count: many.len() }),
    }
}

pub(crate) fn module_error(address: &Pkcs11Address, doing: &'static str, error: &ModuleError) -> Pkcs11Error {
    Pkcs11Error::Module { address: address.clone(), doing, reason: error.to_string() }
}

/// Why a token's key was not opened or made. The module's words are kept; no PIN is.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Error {
    /// The module is named by a relative path, or is not there.
    #[error(
        "cannot load the PKCS#11 module {path}: {problem}; right is the absolute path of the token vendor's library"
    )]
    ModulePath {
        /// What was named.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No token of that label is plugged in.
    #[error("no token for {address}; tokens present: {present}")]
    NoToken {
        /// What was looked for.
        address: Pkcs11Address,
        /// The labels that there are, or `none`.
        present: String,
    },
    /// Several tokens have that label; which is meant cannot be told.
    #[error("{count} tokens have the label in {address}; right is exactly one")]
    ManyTokens {
        /// What was looked for.
        address: Pkcs11Address,
        /// How many.
        count: usize,
    },
    /// The PIN is wrong. The token counts these and locks itself after a few.
    #[error("the token refused the PIN for {address}; after a few wrong ones it locks itself")]
    WrongPin {
        /// What was to be opened.
        address: Pkcs11Address,
    },
    /// The token is locked after wrong PINs, or its PIN has expired.
    #[error("the PIN for {address} is locked or expired; its security officer must set a new one")]
    PinLocked {
        /// What was to be opened.
        address: Pkcs11Address,
    },
    /// The token holds no such key.
    #[error("there is no {half} {address}")]
    NoKey {
        /// What was looked for.
        address: Pkcs11Address,
        /// `private` or `public`.
        half: &'static str,
    },
    /// Several keys have that label; which is meant cannot be told.
    #[error("{count} {half} keys have the label in {address}; right is exactly one")]
    ManyKeys {
        /// What was looked for.
        address: Pkcs11Address,
        /// `private` or `public`.
        half: &'static str,
        /// How many.
        count: usize,
    },
    /// A key of that label is there; keys are never overwritten.
    #[error("{address} exists already and is never overwritten; choose another label")]
    AlreadyExists {
        /// What was to be made.
        address: Pkcs11Address,
    },
    /// The key is of another kind.
    #[error("{address} is not an Ed25519 key: {problem}")]
    NotEd25519 {
        /// What was found.
        address: Pkcs11Address,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The token came back with another key under this label.
    #[error("{address} is not the key that was opened before")]
    Replaced {
        /// What was to be opened again.
        address: Pkcs11Address,
    },
    /// The module refused.
    #[error("cannot {doing} the token for {address}: {reason}")]
    Module {
        /// What was being used.
        address: Pkcs11Address,
        /// What was being done.
        doing: &'static str,
        /// The module's own words.
        reason: String,
    },
    /// The operating system's random source failed.
    #[error("cannot make a key: no randomness from the operating system: {0}")]
    Random(getrandom::Error),
}

impl Pkcs11Error {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ModulePath { .. } => "module_path",
            Self::NoToken { .. } => "no_token",
            Self::ManyTokens { .. } => "many_tokens",
            Self::WrongPin { .. } => "wrong_pin",
            Self::PinLocked { .. } => "pin_locked",
            Self::NoKey { .. } => "no_key",
            Self::ManyKeys { .. } => "many_keys",
            Self::AlreadyExists { .. } => "already_exists",
            Self::NotEd25519 { .. } => "not_ed25519",
            Self::Replaced { .. } => "replaced",
            Self::Module { .. } => "module",
            Self::Random(_) => "no_randomness",
        }
    }
}
