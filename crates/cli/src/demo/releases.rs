//! The demo's releases: staged, signed by the publisher, published, and ordered, as people would do it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tidegate_domain::ids::{PackageName, RolloutId, Version};
use tidegate_domain::policy::Policy;
use tidegate_domain::time::Elapsed;
use tidegate_keyring::Signer;
use tidegate_sensor::content;
use tidegate_trust::records::PolicyRecord;
use tidegate_wire::operator::PolicyRequest;

use super::fleet::{Fleet, PACKAGE};
use crate::context::now;
use crate::delegation::add_package;
use crate::ordering::{self, PolicyReference, Wanted};
use crate::publishing::publish;
use crate::signing::signed_record;
use crate::staging::{Stage, StagePlan, Template};

/// The demo's policy, the same file that `tidegate policy apply policies/demo.toml` takes.
const POLICY: &str = include_str!("../../../../policies/demo.toml");
const LIFE: Elapsed = Elapsed::from_s(86_400);

/// What a release holds.
pub(super) enum Content {
    /// 20 inputs, as the payload supplies them.
    Good,
    /// A criterion for a 21st input.
    ChannelFile291 {
        /// Whether the release also tells the payload to be tolerant in the lab, so that the lab misses the fault.
        lab_tolerates: bool,
    },
}

/// Publishes and orders.
pub(super) struct Releases<'a> {
    fleet: &'a Fleet,
    place: PathBuf,
    package: PackageName,
    policy: PolicyReference,
    publisher: Box<dyn Signer>,
    order: Box<dyn Signer>,
}

impl<'a> Releases<'a> {
    /// Delegates the package to its publisher and applies the policy.
    pub(super) fn open(fleet: &'a Fleet, place: &Path) -> Result<Releases<'a>> {
        let package: PackageName = PACKAGE.parse()?;
        let (publisher, order, targets) = (fleet.key("publisher-1")?, fleet.key("order")?, fleet.key("targets")?);
        let publishers = [publisher.public_key()];
        add_package(fleet.api(), &fleet.repository()?, &package, (&publishers, 1), targets.as_ref(), (now(), LIFE))?;
        let name = Policy::parse(POLICY).context("policies/demo.toml")?.name;
        let body = PolicyRecord {
            fleet: fleet.digest(),
            name: name.clone(),
            text: POLICY.to_owned(),
            issued_at_ms: now(),
            ext: Default::default(),
        };
        fleet.api().apply_policy(&PolicyRequest { policy: signed_record(&body, &[order.as_ref()])? })?;
        let policy = PolicyReference { name, digest: Policy::digest_of(POLICY) };
        Ok(Releases { fleet, place: place.join("releases"), package, policy, publisher, order })
    }

    /// Publishes a release and starts its rollout.
    pub(super) fn start(&self, version: &str, content: &Content) -> Result<RolloutId> {
        let version: Version = version.parse()?;
        let stage = self.stage(&version, content)?;
        publish(self.fleet.api(), &stage, &|_| {})?;
        let wanted = Wanted { package: self.package.clone(), version, policy: self.policy.clone(), resume: None };
        let repository = self.fleet.repository()?;
        let draft = ordering::draft(self.fleet.api(), &repository, self.fleet.digest(), &wanted, now())?;
        ordering::start(self.fleet.api(), draft, self.order.as_ref())
    }

    fn stage(&self, version: &Version, content: &Content) -> Result<Stage> {
        let files = self.place.join(format!("{version}-files"));
        std::fs::create_dir_all(&files)?;
        let text = match content {
            Content::Good => content::good(version.as_str()),
            Content::ChannelFile291 { .. } => content::channel_file_291(version.as_str()),
        };
        std::fs::write(files.join(content::FILE_NAME), text)?;
        let repository = self.fleet.repository()?;
        let name = crate::repository::role_name(&self.package)?;
        let publishers = repository.targets().role().publishers(&name).context("the package has no publishers")?;
        let current = repository.package(&self.package)?;
        let plan = StagePlan {
            package: self.package.clone(),
            version: version.clone(),
            files: &files,
            template: Template::parse_toml(&self.template(content))?,
            now: now(),
            life: LIFE,
        };
        let mut stage = Stage::make(&self.place.join(version.as_str()), plan, publishers, current.as_ref())?;
        stage.sign(self.publisher.as_ref())?;
        Ok(stage)
    }

    /// What a publisher writes beside the files. The release that the lab misses brings its own payload command.
    fn template(&self, content: &Content) -> String {
        let command = match content {
            Content::ChannelFile291 { lab_tolerates: true } => {
                let words = self.fleet.payload_words();
                let words = words.iter().map(String::as_str).chain(["--tolerate-in-ring", "lab"]);
                let quoted: Vec<String> = words.map(|word| format!("{word:?}")).collect();
                format!("command = [{}]", quoted.join(", "))
            }
            Content::Good | Content::ChannelFile291 { lab_tolerates: false } => String::new(),
        };
        format!(
            "downtime = \"3s\"\n\n[activation]\nkind = \"supervise\"\n{command}\n\n\
             [[probes]]\nkind = \"health_file\"\npath = \"health.json\"\nfresh = \"5s\"\n"
        )
    }
}
