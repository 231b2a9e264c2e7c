//! `tidegate trust key`: who may sign what, as root's people say: adds a key to the fleet's key list, or takes one out.

use anyhow::{Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::keys::{ListedKey, PublicKey, Scope};
use tidegate_trust::records::KeyList;

use crate::context::{Context, now};
use crate::output::{Answer, facts, instant, table};
use crate::repository::Repository;
use crate::signing::sign_record;

const EXAMPLES: &str = "\
A key counts once root's people have signed the key list that names it, as many as root asks for. Devices
take the new list at their next check-in. A key is taken out the same way.

Examples:
  tidegate trust key list
  tidegate trust key add approver-4.key --holder grace --scope approve --root-key root-1
  tidegate trust key add 3f1c...9a --holder \"ada's browser\" --scope approve --root-key root-1 --root-key root-2
  tidegate trust key remove 158fc6117403 --root-key root-1";

/// Who may sign what
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum KeyCommand {
    /// Show the keys that may sign, and until when
    List,
    /// Add a key
    #[command(after_help = EXAMPLES)]
    Add(AddArgs),
    /// Take a key out
    Remove {
        /// The key's id, or its beginning
        key: String,
        #[command(flatten)]
        signing: Signing,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The public half: 64 digits, a key file, or a pkcs11: URI
    key: String,
    /// Who holds it, for people
    #[arg(long)]
    holder: String,
    /// What it may sign. Repeat for more
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<ScopeWord>,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "365d")]
    good_for: Elapsed,
    #[command(flatten)]
    signing: Signing,
}

/// Root's keys.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    /// A root key. Repeat for as many as root asks for
    #[arg(long = "root-key", value_name = "KEY", required = true)]
    root_keys: Vec<String>,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

/// What a key may sign.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ScopeWord {
    /// Policies and orders
    Order,
    /// Enrolment tokens
    Enrolment,
    /// Halts alone
    Halt,
    /// Approvals of rings, and that a halted release goes on
    Approve,
}

pub(super) fn run(context: &Context, command: KeyCommand) -> Result<Answer> {
    let (known, root_signers) = standing(context)?;
    match command {
        KeyCommand::List => {
            let text = shown(&known);
            Answer::new(known, text)
        }
        KeyCommand::Add(args) => {
            let public_key = PublicKey::from_bytes(context.public_key(&args.key)?)?;
            let at = now();
            let listed = ListedKey {
                public_key,
                holder: args.holder.clone(),
                scopes: args.scopes.iter().map(|scope| Scope::from(*scope)).collect(),
                not_before_ms: at,
                not_after_ms: at.after(args.good_for),
            };
            let about = facts(&[
                ("adds", format!("key {} of {}", public_key.id().short(), args.holder)),
                ("may sign", words(&listed)),
                ("until", instant(listed.not_after_ms)),
            ]);
            let keys = known.keys.iter().cloned().chain([listed]).collect();
            put(context, &next(&known, keys, at), &about, &args.signing, &root_signers)
        }
        KeyCommand::Remove { key, signing } => {
            let is_it = |listed: &ListedKey| listed.public_key.id().as_str().starts_with(&key);
            let meant: Vec<&ListedKey> = known.keys.iter().filter(|listed| is_it(listed)).collect();
            let [listed] = meant[..] else {
                bail!(
                    "{key:?} means {} keys; right is the beginning of one that `tidegate trust key list` shows",
                    meant.len()
                );
            };
            let about = facts(&[
                ("takes out", format!("key {} of {}", listed.public_key.id().short(), listed.holder)),
                ("might sign", words(listed)),
            ]);
            let keys = known.keys.iter().filter(|listed| !is_it(listed)).cloned().collect();
            put(context, &next(&known, keys, now()), &about, &signing, &root_signers)
        }
    }
}

/// The key list in force, and the keys of root that may sign the next one with how many must.
fn standing(context: &Context) -> Result<(KeyList, (Vec<PublicKey>, usize))> {
    let (api, fleet) = (context.client()?, context.fleet()?);
    let repository = Repository::refresh(&api, &fleet, &[], now())?;
    let (keys, threshold) = repository.root_keys()?;
    let list = api.trust()?.key_list.verify(fleet, keys.clone(), threshold)?;
    Ok((list.body().clone(), (keys, threshold)))
}

fn next(known: &KeyList, keys: Vec<ListedKey>, at: WallTime) -> KeyList {
    KeyList { version: known.version + 1, keys, issued_at_ms: at, ..known.clone() }
}

fn put(
    context: &Context,
    list: &KeyList,
    about: &str,
    signing: &Signing,
    (root, threshold): &(Vec<PublicKey>, usize),
) -> Result<Answer> {
    list.check()?;
    context.confirm(&format!("{about}{}", shown(list)), "Sign this key list?", signing.yes)?;
    let mut record = tidegate_trust::signed::Unverified::draft(list)?;
    for name in &signing.root_keys {
        let key = context.open_key(name)?;
        ensure!(
            root.contains(&PublicKey::from_bytes(key.public_key())?),
            "--root-key {name}: it is none of root's keys"
        );
        record = sign_record(record, key.as_ref())?;
    }
    if record.clone().verify(list.fleet, root.clone(), *threshold).is_err() {
        bail!("{threshold} of root's keys must sign; right is --root-key for each of them");
    }
    context.client()?.put_key_list(&record)?;
    Answer::new(
        json!({"version": list.version, "keys": list.keys}),
        format!("key list version {} is in force\n{}", list.version, shown(list)),
    )
}

fn words(key: &ListedKey) -> String {
    key.scopes.iter().map(|scope| format!("{scope:?}").to_lowercase()).collect::<Vec<_>>().join(", ")
}

fn shown(list: &KeyList) -> String {
    let mut keys = table(&["key", "holder", "may sign", "since", "until"]);
    for key in &list.keys {
        keys.add_row([
            key.public_key.id().short().to_owned(),
            key.holder.clone(),
            words(key),
            instant(key.not_before_ms),
            instant(key.not_after_ms),
        ]);
    }
    keys.to_string()
}

impl From<ScopeWord> for Scope {
    fn from(word: ScopeWord) -> Scope {
        match word {
            ScopeWord::Order => Scope::Order,
            ScopeWord::Enrolment => Scope::Enrolment,
            ScopeWord::Halt => Scope::Halt,
            ScopeWord::Approve => Scope::Approve,
        }
    }
}
