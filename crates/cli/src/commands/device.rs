//! `tidegate device`: tokens by which devices join.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::ids::{AttributeName, RingName};
use tidegate_domain::time::Elapsed;

use crate::context::{Context, now};
use crate::declared::Declared;
use crate::enrolment_token::{TokenPlan, make_token, write_token};
use crate::output::{Answer, facts, instant};

const EXAMPLES: &str = "\
The token is signed by an enrolment key, which the server does not hold, and carries a key of its
own: keep the file (mode 0600) as you would a password, and hand it to the devices over a way that
you trust. The server is not asked.

Examples:
  tidegate device token create --key fleet/offline/enrolment.key --ring canary \\
      --attr os=linux,windows --attr site=ams --devices 200 --expires 30d \\
      --endpoint https://tidegate.example:7440 --out canary-ams.token";

/// Let devices join
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Tokens by which devices join
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for some devices
    #[command(after_help = EXAMPLES)]
    Create(CreateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The enrolment key: a file, a name in the key folder, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Ring label of every device that joins by it [default: placed by share]
    #[arg(long, value_name = "RING")]
    ring: Option<RingName>,
    /// Values that a device may claim for an attribute; repeatable. Attributes that are not named cannot be claimed
    #[arg(long = "attr", value_name = "NAME=VALUE[,VALUE..]")]
    attributes: Vec<AllowedValues>,
    /// The most devices that may join by it
    #[arg(long, value_name = "N", default_value_t = 1)]
    devices: u64,
    /// Take ring, attributes, devices and life from this rule of the folder's fleet.toml
    #[arg(long, value_name = "NAME", requires = "from", conflicts_with_all = ["ring", "attributes", "devices", "expires"])]
    rule: Option<String>,
    /// The folder with the rule; see `tidegate apply --help`
    #[arg(short = 'f', long, value_name = "DIR", requires = "rule")]
    from: Option<PathBuf>,
    /// How long it is good, for example 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "7d")]
    expires: Elapsed,
    /// Where devices find their server; repeatable, tried in turn [default: the server that is set]
    #[arg(long = "endpoint", value_name = "URL")]
    endpoints: Vec<String>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// `NAME=VALUE[,VALUE..]`.
#[derive(Debug, Clone)]
struct AllowedValues {
    name: AttributeName,
    values: BTreeSet<AttributeValue>,
}

impl FromStr for AllowedValues {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<AllowedValues, String> {
        let (name, values) = text.split_once('=').ok_or("right is NAME=VALUE or NAME=VALUE,VALUE")?;
        let name = name.parse().map_err(|e| format!("{e}"))?;
        let values = values.split(',').map(AttributeValue::from_str).collect::<std::result::Result<_, _>>();
        Ok(AllowedValues { name, values: values.map_err(|e| e.to_string())? })
    }
}

pub(super) fn run(context: &Context, command: DeviceCommand) -> Result<Answer> {
    let DeviceCommand::Token(TokenCommand::Create(args)) = command;
    let fleet = context.fleet()?;
    if args.out.exists() {
        bail!("--out {}: it exists already and is not overwritten; choose another name", args.out.display());
    }
    let mut attributes: BTreeMap<AttributeName, BTreeSet<AttributeValue>> = BTreeMap::new();
    for allowed in args.attributes {
        attributes.entry(allowed.name).or_default().extend(allowed.values);
    }
    let endpoints = match (args.endpoints.is_empty(), &context.settings.server) {
        (true, Some(server)) => vec![server.clone()],
        _ => args.endpoints,
    };
    let plan = match (&args.rule, &args.from) {
        (Some(rule), Some(from)) => {
            let declared = Declared::read(from)?;
            let rule = declared.token_rule(rule)?;
            let endpoints = if rule.endpoints.is_empty() { endpoints } else { rule.endpoints.clone() };
            let (ring, attributes) = (rule.ring.clone(), rule.attributes.clone());
            TokenPlan { ring, attributes, devices_max: rule.devices, life: rule.expires, endpoints }
        }
        _ => TokenPlan { ring: args.ring, attributes, devices_max: args.devices, life: args.expires, endpoints },
    };
    let key = context.open_key(&args.key)?;
    let (token, file) = make_token(fleet, &plan, key.as_ref(), now())?;
    write_token(&args.out, &file)?;
    let text = facts(&[
        ("token", token.token.to_string()),
        ("ring", token.ring.as_ref().map_or_else(|| "by share".to_owned(), ToString::to_string)),
        ("devices", format!("at most {}", token.devices_max)),
        ("good until", instant(token.expires_at_ms)),
        ("endpoints", token.endpoints.join(", ")),
        ("file", format!("{} (a secret: mode 0600)", args.out.display())),
    ]);
    Answer::new(json!({"token": token, "digest": file.token.digest(), "file": args.out}), text)
}
