//! `tidegate operator`: who may use the operator API, in which role.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use tidegate_domain::ids::{OperatorName, PackageName};
use tidegate_wire::operator::{OperatorRequest, Role};

use crate::context::Context;
use crate::output::{Answer, facts, table};

const EXAMPLES: &str = "\
Roles, each may do what the ones before it may: viewer (sees, pauses, halts), publisher, approver (policies, rollouts), admin.
A role lets somebody ask; what takes effect needs the right key as well.

Examples:
  tidegate operator add ada --role approver     prints ada's token, this once
  tidegate operator add pipeline --role publisher --package content
  tidegate operator list
  tidegate operator remove ada";

/// Who may use the operator API
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum OperatorCommand {
    /// Make an operator, or give a known one a new token and role
    Add {
        /// The operator's name
        name: OperatorName,
        /// What the operator may do
        #[arg(long, value_enum)]
        role: RoleWord,
        /// The only packages that the operator may publish and order; repeatable [default: all]
        #[arg(long = "package", value_name = "PACKAGE")]
        packages: Vec<PackageName>,
    },
    /// Show all operators
    List,
    /// Remove an operator; the token stops working at once
    Remove {
        /// The operator's name
        name: OperatorName,
    },
}

/// A role, as people write it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleWord {
    Viewer,
    Publisher,
    Approver,
    Admin,
}

pub(super) fn run(context: &Context, command: OperatorCommand) -> Result<Answer> {
    let api = context.client()?;
    match command {
        OperatorCommand::Add { name, role, packages } => {
            let packages = packages.into_iter().collect();
            let answer = api.add_operator(&OperatorRequest { operator: name, role: role.into(), packages })?;
            let text = facts(&[
                ("operator", answer.operator.to_string()),
                ("role", word(answer.role)),
                ("token", answer.token.clone()),
                ("", "the token is shown this once; hand it over, to be kept in a 0600 file (--token-file)".to_owned()),
            ]);
            Answer::new(answer, text)
        }
        OperatorCommand::List => {
            let operators = api.operators()?;
            let mut shown = table(&["operator", "role", "packages"]);
            for operator in &operators {
                let only: Vec<&str> = operator.packages.iter().map(PackageName::as_str).collect();
                let only = if only.is_empty() { "all".to_owned() } else { only.join(", ") };
                shown.add_row([operator.operator.to_string(), word(operator.role), only]);
            }
            Answer::new(operators, shown.to_string())
        }
        OperatorCommand::Remove { name } => {
            api.remove_operator(&name)?;
            Answer::new(json!({"removed": name}), format!("removed {name}"))
        }
    }
}

fn word(role: Role) -> String {
    match role {
        Role::Viewer => "viewer",
        Role::Publisher => "publisher",
        Role::Approver => "approver",
        Role::Admin => "admin",
    }
    .to_owned()
}

impl From<RoleWord> for Role {
    fn from(role: RoleWord) -> Role {
        match role {
            RoleWord::Viewer => Role::Viewer,
            RoleWord::Publisher => Role::Publisher,
            RoleWord::Approver => Role::Approver,
            RoleWord::Admin => Role::Admin,
        }
    }
}
