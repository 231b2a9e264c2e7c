//! A fleet as a folder says it should be: packages and their publishers, policies, operators, rules for tokens; and what would have to
//! change on the server for it to be so.
//!
//! `fleet.toml` holds packages, operators and rules, `policies/` one policy a file. What the server has beside that is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{AttributeName, OperatorName, PackageName, RingName};
use tidegate_domain::policy::Policy;
use tidegate_domain::time::Elapsed;
use tidegate_wire::operator::Role;

use crate::durable_file;
use crate::ordering::PolicyReference;

const FLEET_BYTES_MAX: u64 = 1 << 20;
const POLICY_BYTES_MAX: u64 = 64 << 10;
const POLICIES_MAX: usize = 200;

/// `fleet.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FleetFile {
    packages: BTreeMap<PackageName, DeclaredPackage>,
    operators: BTreeMap<OperatorName, DeclaredOperator>,
    tokens: BTreeMap<String, TokenRule>,
}

/// A package's publishers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredPackage {
    /// Keys as `package add --publisher-key` takes them.
    pub(crate) publishers: Vec<String>,
    /// How many must sign.
    #[serde(default = "one")]
    pub(crate) threshold: u32,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredOperator {
    pub(crate) role: Role,
    /// Empty for all.
    #[serde(default)]
    pub(crate) packages: BTreeSet<PackageName>,
}

/// What a token may allow, by a name: `device token create --rule NAME --from DIR`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRule {
    /// The ring label; none for placing by share.
    pub(crate) ring: Option<RingName>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<AttributeName, BTreeSet<AttributeValue>>,
    /// The most devices of one token.
    pub(crate) devices: u64,
    /// How long one is good.
    pub(crate) expires: Elapsed,
    #[serde(default)]
    pub(crate) endpoints: Vec<String>,
}

/// A policy and the file that it stands in.
#[derive(Debug, Clone)]
pub(crate) struct DeclaredPolicy {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    pub(crate) policy: Policy,
    pub(crate) reference: PolicyReference,
}

/// All that a folder says.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) packages: BTreeMap<PackageName, DeclaredPackage>,
    pub(crate) operators: BTreeMap<OperatorName, DeclaredOperator>,
    pub(crate) tokens: BTreeMap<String, TokenRule>,
    pub(crate) policies: Vec<DeclaredPolicy>,
}

/// A package's publishers as the signed targets name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publishers {
    pub(crate) keys: BTreeSet<[u8; 32]>,
    pub(crate) threshold: u32,
}

/// What the server has.
#[derive(Debug, Default)]
pub(crate) struct Present {
    pub(crate) packages: BTreeMap<PackageName, Publishers>,
    /// The policies that are the newest of their names.
    pub(crate) policies: BTreeSet<Digest>,
    pub(crate) operators: BTreeMap<OperatorName, DeclaredOperator>,
}

/// One thing that has to change.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A package that is new, or gets other publishers.
    Package { package: PackageName, publishers: Publishers, before: Option<Publishers> },
    /// A policy that was not applied, or is not the newest of its name any more.
    Policy(Box<DeclaredPolicy>),
    /// An operator that is new, or gets another role and with it a new token.
    Operator { operator: OperatorName, wanted: DeclaredOperator, before: Option<DeclaredOperator> },
    /// An operator whom the folder does not name.
    Removed { operator: OperatorName },
}

fn one() -> u32 {
    1
}

impl Declared {
    /// Reads the folder.
    ///
    /// # Errors
    /// Names the file and what is wrong in it.
    pub(crate) fn read(folder: &Path) -> Result<Declared> {
        let path = folder.join("fleet.toml");
        let text = durable_file::read_text(&path, FLEET_BYTES_MAX)?;
        let fleet: FleetFile = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let policies = read_policies(&folder.join("policies"))?;
        let declared =
            Declared { packages: fleet.packages, operators: fleet.operators, tokens: fleet.tokens, policies };
        declared.check(&path)?;
        Ok(declared)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let shown = path.display();
        let rings: BTreeSet<&RingName> =
            self.policies.iter().flat_map(|policy| policy.policy.rings.iter().map(|ring| &ring.name)).collect();
        for (name, rule) in &self.tokens {
            if let Some(ring) = rule.ring.as_ref().filter(|ring| !rings.contains(ring)) {
                let known: Vec<&str> = rings.iter().map(|ring| ring.as_str()).collect();
                bail!(
                    "{shown}: tokens.{name}: no policy here has a ring `{ring}`; right is one of {}",
                    known.join(", ")
                );
            }
        }
        for (name, package) in &self.packages {
            let most = u32::try_from(package.publishers.len()).unwrap_or(u32::MAX);
            if package.threshold == 0 || package.threshold > most {
                bail!(
                    "{shown}: packages.{name}: threshold {} of {most} publishers; right is 1 to {most}",
                    package.threshold
                );
            }
        }
        Ok(())
    }

    /// A rule for tokens by its name.
    ///
    /// # Errors
    /// When there is none; names those that there are.
    pub(crate) fn token_rule(&self, name: &str) -> Result<&TokenRule> {
        let known = || self.tokens.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.tokens.get(name).with_context(|| format!("no rule `{name}` under tokens; right is one of {}", known()))
    }

    /// What has to change, in the order in which it is done. `key` gives the public half of a publisher's key.
    ///
    /// # Errors
    /// When a publisher's key is none.
    pub(crate) fn changes(
        &self,
        present: &Present,
        prune: bool,
        key: &dyn Fn(&str) -> Result<[u8; 32]>,
    ) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (package, wanted) in &self.packages {
            let keys = wanted.publishers.iter().map(|publisher| key(publisher)).collect::<Result<_>>();
            let keys = keys.with_context(|| format!("packages.{package}.publishers"))?;
            let publishers = Publishers { keys, threshold: wanted.threshold };
            let before = present.packages.get(package).cloned();
            if before.as_ref() != Some(&publishers) {
                changes.push(Change::Package { package: package.clone(), publishers, before });
            }
        }
        let is_new = |policy: &&DeclaredPolicy| !present.policies.contains(&policy.reference.digest);
        changes.extend(self.policies.iter().filter(is_new).map(|policy| Change::Policy(Box::new(policy.clone()))));
        for (operator, wanted) in &self.operators {
            let before = present.operators.get(operator).cloned();
            if before.as_ref() != Some(wanted) {
                changes.push(Change::Operator { operator: operator.clone(), wanted: wanted.clone(), before });
            }
        }
        if prune {
            let removed = self.unnamed(present).into_iter().map(|operator| Change::Removed { operator });
            changes.extend(removed);
        }
        Ok(changes)
    }

    /// Operators at the server whom the folder does not name; admins are nobody's to forget.
    pub(crate) fn unnamed(&self, present: &Present) -> Vec<OperatorName> {
        let others = present.operators.iter().filter(|(name, _)| !self.operators.contains_key(*name));
        others.filter(|(_, who)| who.role != Role::Admin).map(|(name, _)| name.clone()).collect()
    }
}

fn read_policies(folder: &Path) -> Result<Vec<DeclaredPolicy>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let reading = || format!("cannot read the folder {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(reading)?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(reading)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    if files.len() > POLICIES_MAX {
        bail!("{}: {} policies; right is at most {POLICIES_MAX}", folder.display(), files.len());
    }
    let mut policies: Vec<DeclaredPolicy> = Vec::with_capacity(files.len());
    for file in files {
        let text = durable_file::read_text(&file, POLICY_BYTES_MAX)?;
        let policy = Policy::parse(&text).with_context(|| file.display().to_string())?;
        if let Some(other) = policies.iter().find(|other| other.policy.name == policy.name) {
            bail!(
                "{} and {} are both named {}; right is one file a name",
                other.file.display(),
                file.display(),
                policy.name
            );
        }
        let reference = PolicyReference { name: policy.name.clone(), digest: Policy::digest_of(&text) };
        policies.push(DeclaredPolicy { file, text, policy, reference });
    }
    Ok(policies)
}

impl Change {
    /// `+` for what is new, `~` for what becomes another, `-` for what goes.
    pub(crate) fn sign(&self) -> char {
        match self {
            Change::Package { before: None, .. } | Change::Operator { before: None, .. } | Change::Policy(_) => '+',
            Change::Package { .. } | Change::Operator { .. } => '~',
            Change::Removed { .. } => '-',
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = self.sign();
        match self {
            Change::Package { package, publishers, before } => {
                write!(f, "{sign} package   {package}: {publishers}")?;
                before.as_ref().map_or(Ok(()), |before| write!(f, " (now {before})"))
            }
            Change::Policy(policy) => write!(f, "{sign} policy    {} ({})", policy.reference, policy.file.display()),
            Change::Operator { operator, wanted, before } => {
                write!(f, "{sign} operator  {operator}: {wanted}")?;
                before.as_ref().map_or(Ok(()), |before| write!(f, " (now {before}; gets a new token)"))
            }
            Change::Removed { operator } => write!(f, "{sign} operator  {operator}"),
        }
    }
}

impl fmt::Display for Publishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(|key| hex::encode(&key[..4])).collect();
        write!(f, "{} of {} must sign ({})", self.threshold, self.keys.len(), keys.join(", "))
    }
}

impl fmt::Display for DeclaredOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only: Vec<&str> = self.packages.iter().map(PackageName::as_str).collect();
        let role = serde_json::to_value(self.role).map_err(|_| fmt::Error)?;
        write!(f, "{}", role.as_str().unwrap_or_default())?;
        if only.is_empty() { Ok(()) } else { write!(f, " for {}", only.join(", ")) }
    }
}
