//! Names of things, each a type of its own, each bounded and parsed before anything else sees it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that is not a name of the wanted sort.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: {rule}")]
pub struct NameError {
    /// What was wanted, for example `device id`.
    pub what: &'static str,
    /// The refused text, cut to 80 characters.
    pub text: String,
    /// What would be right.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, max $max:literal, also $also:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<$type, NameError> {
                if is_name(text, $max, $also) {
                    Ok($type(text.into()))
                } else {
                    Err(NameError { what: $what, text: text.chars().take(80).collect(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<$type, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// One managed endpoint.
    DeviceId, "device id", max 64, also "._-",
    "1 to 64 of a-z, 0-9, dot, underscore, hyphen; the first a letter or digit"
);
name!(
    /// A stream of releases. Also the name of its delegated role and its folder on a device.
    PackageName, "package name", max 64, also "._-",
    "1 to 64 of a-z, 0-9, dot, underscore, hyphen; the first a letter or digit"
);
name!(
    /// The version of a release, as its publisher writes it. Only equality matters here.
    Version, "version", max 64, also "._-+",
    "1 to 64 of a-z, 0-9, dot, underscore, hyphen, plus; the first a letter or digit"
);
name!(
    /// A policy's name.
    PolicyName, "policy name", max 64, also "._-",
    "1 to 64 of a-z, 0-9, dot, underscore, hyphen; the first a letter or digit"
);
name!(
    /// A ring's name, the same word as in enrolment records.
    RingName, "ring name", max 32, also "_-",
    "1 to 32 of a-z, 0-9, underscore, hyphen; the first a letter or digit"
);
name!(
    /// The name of an attribute of a device.
    AttributeName, "attribute name", max 32, also "_-",
    "1 to 32 of a-z, 0-9, underscore, hyphen; the first a letter or digit"
);
name!(
    /// A number that a payload says of itself.
    NumberName, "number name", max 64, also "._-",
    "1 to 64 of a-z, 0-9, dot, underscore, hyphen; the first a letter or digit"
);
name!(
    /// The name of a contract that a release needs or offers.
    ContractName, "contract name", max 64, also "._-",
    "1 to 64 of a-z, 0-9, dot, underscore, hyphen; the first a letter or digit"
);
name!(
    /// A stratum: the values of the stratifying attributes joined by `/`, or `other`.
    StratumName, "stratum", max 200, also "._-+/ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "attribute values joined by `/`, at most 200 characters"
);
name!(
    /// A rollout: package, `.` and order sequence number, for example `sensor-content.7`.
    RolloutId, "rollout id", max 96, also "._-",
    "a package name, a dot and a number, for example `sensor-content.7`"
);
name!(
    /// An incident: `inc-` and the rollout that it belongs to, or `inc-hand-` and a number where people opened it.
    IncidentId, "name of an incident", max 100, also "._-",
    "`inc-` and a rollout id, for example `inc-sensor-content.7`, or `inc-hand-` and a number"
);
name!(
    /// An enrolment token.
    TokenId, "token id", max 64, also "_-",
    "1 to 64 of a-z, 0-9, underscore, hyphen; the first a letter or digit"
);
name!(
    /// A person's or a program's account at the operator API.
    OperatorName, "operator name", max 64, also "._-@",
    "1 to 64 of a-z, 0-9, dot, underscore, hyphen, @; the first a letter or digit"
);

impl RolloutId {
    /// The rollout that the order number `order_seq` of `package` starts.
    pub fn of(package: &PackageName, order_seq: u64) -> RolloutId {
        RolloutId(format!("{package}.{order_seq}").into())
    }
}

impl StratumName {
    /// A stratum name that the code itself fixes: `all`, `other`.
    pub(crate) fn fixed(text: &'static str) -> StratumName {
        StratumName(text.into())
    }
}

impl IncidentId {
    /// The incident that a halt of `rollout` opens.
    pub fn of(rollout: &RolloutId) -> IncidentId {
        IncidentId(format!("inc-{rollout}").into())
    }

    /// The incident of this number among those that people opened. No rollout has such a name: it would lack the dot.
    pub fn by_hand(number: u32) -> IncidentId {
        IncidentId(format!("inc-hand-{number}").into())
    }
}

fn is_name(text: &str, length_max: usize, also: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= length_max
        && text.bytes().next().is_some_and(|b| plain(b) || (b.is_ascii_uppercase() && also.as_bytes().contains(&b)))
        && text.bytes().all(|b| plain(b) || also.as_bytes().contains(&b))
        && !text.contains("..")
        && !text.contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for text in ["", "..", "../etc", "/etc", "a/b", "a\\b", ".hidden", "A", "a b", "a\0", "é"] {
            assert!(text.parse::<PackageName>().is_err(), "{text:?}");
        }
        assert!("a".repeat(65).parse::<PackageName>().is_err());
        assert!("sensor-content".parse::<PackageName>().is_ok());
    }

    #[test]
    fn an_error_says_what_would_be_right() {
        let error = "Lab".parse::<RingName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"Lab\" is not a ring name: 1 to 32 of a-z, 0-9, underscore, hyphen; the first a letter or digit"
        );
    }
}
