//! `tidegate blame`: which rollout explains a rise in failures.

use anyhow::Result;
use tidegate_domain::evidence::odds::Odds;

use crate::context::Context;
use crate::output::{Answer, table};

pub(crate) const EXAMPLES: &str = "\
Weighs the twenty rollouts that were started last, of those under way or ended within the last hour, and
every value and stratum in them. Among those that the evidence blames at most one in twenty is innocent in
expectation; what the gate has halted is blamed too. LOOK HERE marks what says most of its rollout.

Examples:
  tidegate blame
  tidegate --json blame | jq '.[] | select(.named)'";

pub(super) fn run(context: &Context) -> Result<Answer> {
    let accused = context.client()?.blame()?;
    if accused.is_empty() {
        return Answer::new(accused, "nothing speaks against any rollout of the last hour".to_owned());
    }
    let mut shown = table(&["rollout", "version", "in", "evidence", "to blame", ""]);
    for one in &accused {
        shown.add_row([
            one.rollout.to_string(),
            one.version.to_string(),
            one.scope.clone(),
            Odds(one.ln_e).to_string(),
            if one.blamed { "yes" } else { "-" }.to_owned(),
            if one.named { "look here" } else { "" }.to_owned(),
        ]);
    }
    Answer::new(accused, shown.to_string())
}
