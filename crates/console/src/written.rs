//! A form that was not done: its page comes back with what was written, and says why beside it.

use std::collections::BTreeMap;

use maud::{Markup, html};

/// A form that was not done.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Which form, by its act.
    pub act: String,
    /// Why it was not done.
    pub problem: String,
    /// What was written, by the field's name.
    pub fields: BTreeMap<String, String>,
}

/// What was written into a field of a form; else what stands there at first.
pub(crate) fn was<'a>(written: Option<&'a Written>, act: &str, field: &str, first: &'a str) -> &'a str {
    let of = written.filter(|written| written.act == act).and_then(|written| written.fields.get(field));
    of.map_or(first, String::as_str)
}

/// Why a form was not done, where it is this one. It takes the focus, so that the page opens there.
pub(crate) fn why(written: Option<&Written>, act: &str) -> Markup {
    let of = written.filter(|written| written.act == act);
    html! { @if let Some(written) = of { p.problem role="alert" tabindex="-1" autofocus { (written.problem) } } }
}
