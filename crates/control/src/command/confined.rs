//! Operators who are confined to packages: they move no other.

use tidegate_domain::ids::{OperatorName, PackageName};

use super::{Refusal, Why};
use crate::state::{Operator, State};

/// Whether an operator may move a package, or all of them: not one that is confined to others.
///
/// # Errors
/// Says what the operator is for.
pub fn may_move(name: &OperatorName, operator: &Operator, package: Option<&PackageName>) -> Result<(), Refusal> {
    if package.map_or(operator.packages.is_empty(), |package| operator.concerns(package)) {
        return Ok(());
    }
    let only: Vec<&str> = operator.packages.iter().map(PackageName::as_str).collect();
    let wanted = package.map_or("all packages", PackageName::as_str);
    let detail = format!("operator {name} is for {} only, not for {wanted}", only.join(", "));
    Err(Refusal::new(Why::NotAllowed, "another_package", detail))
}

/// The same by name. Whom the state does not know, it confines to nothing: such a name is the server's own.
pub(super) fn moves(state: &State, by: &OperatorName, package: Option<&PackageName>) -> Result<(), Refusal> {
    state.operators().get(by).map_or(Ok(()), |operator| may_move(by, operator, package))
}
