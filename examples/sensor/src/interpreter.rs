//! Matches templates against an event's inputs: criterion `i` reads input `i`, a wildcard reads nothing.
//! A criterion that reads an input that there is not is the flaw of Channel File 291, kept on purpose: in a kernel
//! driver it is a read out of bounds that ends the system; here it ends the process by abort.

use crate::content::{Content, Template, WILDCARD};
use crate::inputs::INPUTS;

/// What to do with a criterion beyond the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// Read it, and crash.
    Read,
    /// Skip it: a sensor that happens not to show the fault.
    Skip,
}

/// A template asked for an input that the sensor does not supply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfBounds {
    /// The template.
    pub(crate) template: String,
    /// The input that it reads, from 0.
    pub(crate) index: usize,
}

/// The number of templates that match the event. Every criterion is read, also after one that does not match,
/// since that is how the criteria are bound to the inputs.
pub(crate) fn matches(content: &Content, inputs: &[String; INPUTS], beyond: Beyond) -> Result<u64, OutOfBounds> {
    let mut matched = 0;
    for template in &content.templates {
        matched += u64::from(matches_template(template, inputs, beyond)?);
    }
    Ok(matched)
}

/// Ends the process as the flaw does.
pub(crate) fn crash(fault: &OutOfBounds) -> ! {
    eprintln!("sensor: template '{}' reads input {} of {INPUTS}", fault.template, fault.index + 1);
    std::process::abort()
}

fn matches_template(template: &Template, inputs: &[String; INPUTS], beyond: Beyond) -> Result<bool, OutOfBounds> {
    let mut all = true;
    for (index, criterion) in template.criteria.iter().enumerate() {
        if criterion == WILDCARD {
            continue;
        }
        match (inputs.get(index), beyond) {
            (Some(input), _) => all &= matches_criterion(criterion, input),
            (None, Beyond::Skip) => {}
            (None, Beyond::Read) => {
                return Err(OutOfBounds { template: template.name.clone(), index });
            }
        }
    }
    Ok(all)
}

/// Whether the text matches a criterion in which `*` stands for anything.
fn matches_criterion(criterion: &str, text: &str) -> bool {
    let mut parts = criterion.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{content, inputs};

    fn parsed(text: &str) -> Content {
        content::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_wildcard_beyond_the_inputs_is_never_read() {
        let content = parsed(&content::good("1"));
        assert_eq!(matches(&content, &inputs::of_event(0), Beyond::Read), Ok(2));
        assert_eq!(matches(&content, &inputs::of_event(1), Beyond::Read), Ok(0));
    }

    #[test]
    fn the_twenty_first_criterion_reads_out_of_bounds_whatever_the_event() {
        let content = parsed(&content::channel_file_291("1"));
        for number in 0..8 {
            let fault = matches(&content, &inputs::of_event(number), Beyond::Read).unwrap_err();
            assert_eq!(fault.index, 20);
        }
        assert_eq!(matches(&content, &inputs::of_event(0), Beyond::Skip), Ok(2));
    }

    #[test]
    fn criteria_match_with_stars_anywhere() {
        for (criterion, text, expected) in [
            ("pipe-*", "pipe-7", true),
            ("pipe-*", "file-7", false),
            ("*-7", "pipe-7", true),
            ("p*e-*7", "pipe-17", true),
            ("pipe", "pipe", true),
            ("pipe", "pipes", false),
            ("aa*aa", "aaa", false),
        ] {
            assert_eq!(matches_criterion(criterion, text), expected, "{criterion} {text}");
        }
    }
}
