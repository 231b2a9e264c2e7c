//! Names inside a repository: a package's delegated role and a release's target path.
//! Both are parsed before use, so no name can leave its folder, hold a glob character or pass for a top-level role.

use std::fmt;

/// A package's name in its use as the name of a delegated role.
///
/// 1 to 64 of `a-z`, `0-9`, dot, underscore, hyphen, the first a letter or digit; one `@` may stand in front (`@trust`).
/// The names of the top-level roles are refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(Box<str>);

/// A text that cannot name a package's role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} cannot name a package's role: 1 to 64 of a-z, 0-9, dot, underscore, hyphen are right, \
     the first a letter or digit, one @ in front allowed, and not root, targets, snapshot or timestamp"
)]
pub struct RoleNameError {
    /// The refused text, cut to 80 characters.
    pub text: String,
}

impl RoleName {
    /// Parses a package's name.
    ///
    /// # Errors
    /// When the text breaks the rule above.
    pub fn parse(text: &str) -> Result<RoleName, RoleNameError> {
        let plain = text.strip_prefix('@').unwrap_or(text);
        let reserved = matches!(plain, "root" | "targets" | "snapshot" | "timestamp");
        if is_name(plain, b"._-") && !reserved {
            Ok(RoleName(text.into()))
        } else {
            Err(RoleNameError { text: cut(text) })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A release's target: `P/V.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetPath {
    package: RoleName,
    version: Box<str>,
}

/// A text that is not the target path of a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a release's target path: `package/version.json` is right, the version being \
     1 to 64 of a-z, 0-9, dot, underscore, hyphen, plus, the first a letter or digit"
)]
pub struct TargetPathError {
    /// The refused text, cut to 80 characters.
    pub text: String,
}

impl TargetPath {
    /// The target of this release of this package.
    ///
    /// # Errors
    /// When the version is not 1 to 64 of `a-z`, `0-9`, dot, underscore, hyphen, plus, the first a letter or digit.
    pub fn new(package: &RoleName, version: &str) -> Result<TargetPath, TargetPathError> {
        if is_name(version, b"._-+") {
            Ok(TargetPath { package: package.clone(), version: version.into() })
        } else {
            Err(TargetPathError { text: cut(&format!("{package}/{version}.json")) })
        }
    }

    /// Parses `P/V.json`.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<TargetPath, TargetPathError> {
        let refuse = || TargetPathError { text: cut(text) };
        let (package, file) = text.split_once('/').ok_or_else(refuse)?;
        let version = file.strip_suffix(".json").ok_or_else(refuse)?;
        let package = RoleName::parse(package).map_err(|_| refuse())?;
        TargetPath::new(&package, version).map_err(|_| refuse())
    }

    /// The package that the target belongs to.
    pub fn package(&self) -> &RoleName {
        &self.package
    }

    /// The release's version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.json", self.package, self.version)
    }
}

fn is_name(text: &str, also: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=64).contains(&text.len())
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || also.contains(&byte))
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_role_name_cannot_pass_for_a_top_level_role_or_leave_its_folder() {
        for text in
            ["", "root", "@root", "targets", "snapshot", "timestamp", "../x", "a/b", "a*", "A", ".a", "@", "@@a"]
        {
            assert!(RoleName::parse(text).is_err(), "{text:?}");
        }
        assert!(RoleName::parse(&"a".repeat(65)).is_err());
        for text in ["sensor-content", "@trust", "1.root", "7"] {
            assert_eq!(RoleName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_target_path_is_a_package_and_a_version_and_nothing_else() {
        for text in ["p", "p/", "p/.json", "p/1", "p/../1.json", "p/a/1.json", "/1.json", "p/1.JSON", "root/1.json"] {
            assert!(TargetPath::parse(text).is_err(), "{text:?}");
        }
        let path = TargetPath::parse("@trust/1.2.0+b.json").unwrap();
        assert_eq!((path.package().as_str(), path.version()), ("@trust", "1.2.0+b"));
        assert_eq!(path.to_string(), "@trust/1.2.0+b.json");
    }
}
