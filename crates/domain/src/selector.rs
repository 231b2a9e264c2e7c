//! A small language that says which devices are meant: `os == "windows" && site in ["ams", "fra"]`.
//!
//! `==`, `!=`, `in [..]`, `&&`, `||`, `!`, parentheses, `true`. An attribute that a device lacks equals nothing.
//! Errors point at the column. Nothing here looks anything up: a selector and attributes in, a bool out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::attributes::{AttributeValue, Attributes};
use crate::ids::AttributeName;

const TEXT_BYTES_MAX: usize = 4_096;
const DEPTH_MAX: usize = 32;

/// Which devices are meant. Parsed from text, which it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Selector {
    text: Box<str>,
    expression: Expression,
}

/// A text that is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("selector, column {column}: {problem}\n  {text}\n  {:>column$}", "^")]
pub struct SelectorError {
    /// Counts characters from 1.
    pub column: usize,
    /// What was found and what would be right.
    pub problem: String,
    /// The text, cut to 200 characters.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    True,
    Among(AttributeName, Vec<AttributeValue>),
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

impl Selector {
    /// Whether a device with these attributes is meant.
    pub fn matches(&self, attributes: &Attributes) -> bool {
        self.expression.matches(attributes)
    }

    /// Whether all devices with these values are meant, or none, whatever else is theirs; none where that hangs on something else.
    pub fn certainly(&self, known: &BTreeMap<&AttributeName, &AttributeValue>) -> Option<bool> {
        self.expression.certainly(known)
    }

    /// The text that it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Default for Selector {
    fn default() -> Selector {
        Selector { text: "true".into(), expression: Expression::True }
    }
}

impl Expression {
    fn matches(&self, attributes: &Attributes) -> bool {
        match self {
            Expression::True => true,
            Expression::Among(name, values) => attributes.get(name).is_some_and(|value| values.contains(value)),
            Expression::Not(inner) => !inner.matches(attributes),
            Expression::And(left, right) => left.matches(attributes) && right.matches(attributes),
            Expression::Or(left, right) => left.matches(attributes) || right.matches(attributes),
        }
    }
}

impl Expression {
    fn certainly(&self, known: &BTreeMap<&AttributeName, &AttributeValue>) -> Option<bool> {
        match self {
            Expression::True => Some(true),
            Expression::Among(name, values) => known.get(name).map(|value| values.contains(value)),
            Expression::Not(inner) => inner.certainly(known).map(|meant| !meant),
            Expression::And(left, right) => match (left.certainly(known), right.certainly(known)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Expression::Or(left, right) => match (left.certainly(known), right.certainly(known)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        if text.len() > TEXT_BYTES_MAX {
            return Err(parser.wrong(format!("{} bytes, at most {TEXT_BYTES_MAX}", text.len())));
        }
        let expression = parser.any_of()?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.wrong("expected `&&`, `||` or the end"));
        }
        Ok(Selector { text: text.into(), expression })
    }
}

/// Recursive descent, weakest operator first: `||`, `&&`, `!`, then comparisons and parentheses.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any_of(&mut self) -> Result<Expression, SelectorError> {
        let mut left = self.all_of()?;
        while self.take("||") {
            left = Expression::Or(Box::new(left), Box::new(self.all_of()?));
        }
        Ok(left)
    }

    fn all_of(&mut self) -> Result<Expression, SelectorError> {
        let mut left = self.term()?;
        while self.take("&&") {
            left = Expression::And(Box::new(left), Box::new(self.term()?));
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Expression, SelectorError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(format!("nested deeper than {DEPTH_MAX}")));
        }
        let term = if self.take("!") {
            Expression::Not(Box::new(self.term()?))
        } else if self.take("(") {
            let inner = self.any_of()?;
            if !self.take(")") {
                return Err(self.wrong("expected `)`"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(term)
    }

    fn comparison(&mut self) -> Result<Expression, SelectorError> {
        self.skip_space();
        let start = self.at;
        let word = self.word();
        if word == "true" {
            return Ok(Expression::True);
        }
        let Ok(name) = word.parse::<AttributeName>() else {
            self.at = start;
            return Err(self.wrong("expected an attribute name, `!`, `(` or `true`"));
        };
        if self.take("==") {
            return Ok(Expression::Among(name, vec![self.value()?]));
        }
        if self.take("!=") {
            return Ok(Expression::Not(Box::new(Expression::Among(name, vec![self.value()?]))));
        }
        self.skip_space();
        let after_name = self.at;
        if self.word() == "in" {
            return Ok(Expression::Among(name, self.list()?));
        }
        self.at = after_name;
        Err(self.wrong(format!("expected `==`, `!=` or `in` after `{name}`")))
    }

    fn list(&mut self) -> Result<Vec<AttributeValue>, SelectorError> {
        if !self.take("[") {
            return Err(self.wrong("expected `[`, for example `in [\"ams\", \"fra\"]`"));
        }
        let mut values = vec![self.value()?];
        while self.take(",") {
            values.push(self.value()?);
        }
        if !self.take("]") {
            return Err(self.wrong("expected `,` or `]`"));
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<AttributeValue, SelectorError> {
        self.skip_space();
        let start = self.at;
        if !self.take("\"") {
            return Err(self.wrong("expected a value in double quotes"));
        }
        let rest = &self.text[self.at..];
        let Some(end) = rest.find('"') else {
            self.at = start;
            return Err(self.wrong("this quote is never closed"));
        };
        match rest[..end].parse() {
            Ok(value) => {
                self.at += end + 1;
                Ok(value)
            }
            Err(error) => Err(self.wrong(format!("{error}"))),
        }
    }

    fn word(&mut self) -> String {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_owned()
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.skip_space();
        let rest = &self.text[self.at..];
        let found = rest.starts_with(symbol) && !(symbol == "!" && rest.starts_with("!="));
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn wrong(&self, problem: impl Into<String>) -> SelectorError {
        let column = self.text.get(..self.at).unwrap_or("").chars().count() + 1;
        SelectorError { column, problem: problem.into(), text: self.text.chars().take(200).collect() }
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Selector, SelectorError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        selector.text.into()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn device(pairs: &[(&str, &str)]) -> Attributes {
        let map: BTreeMap<_, _> = pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        map.try_into().unwrap()
    }

    #[test]
    fn what_hangs_on_an_attribute_that_is_not_known_is_not_certain() {
        let (site, ams): (AttributeName, AttributeValue) = ("site".parse().unwrap(), "ams".parse().unwrap());
        let known = BTreeMap::from([(&site, &ams)]);
        for (text, expected) in [
            ("true", Some(true)),
            ("site == \"ams\"", Some(true)),
            ("site != \"ams\"", Some(false)),
            ("os == \"linux\"", None),
            ("!(os == \"linux\")", None),
            ("site == \"ams\" && os == \"linux\"", None),
            ("site == \"fra\" && os == \"linux\"", Some(false)),
            ("site == \"ams\" || os == \"linux\"", Some(true)),
            ("site == \"fra\" || os == \"linux\"", None),
            ("site == \"fra\" || site in [\"lhr\"]", Some(false)),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().certainly(&known), expected, "{text}");
        }
    }

    #[test]
    fn selects_by_equality_membership_and_logic() {
        let windows_ams = device(&[("os", "windows"), ("site", "ams")]);
        for (text, expected) in [
            ("os == \"windows\" && site in [\"ams\", \"fra\"]", true),
            ("os != \"windows\" || site == \"ams\"", true),
            ("!(os == \"windows\")", false),
            ("role == \"till\"", false),
            ("role != \"till\"", true),
            ("true", true),
            ("os == \"linux\" || os == \"windows\" && site == \"fra\"", false),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().matches(&windows_ams), expected, "{text}");
        }
    }

    #[test]
    fn an_error_points_at_the_column() {
        for (text, column) in
            [("os = \"x\"", 4), ("os == windows", 7), ("os in \"x\"", 7), ("", 1), ("os == \"x\" site", 11)]
        {
            assert_eq!(text.parse::<Selector>().unwrap_err().column, column, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_is() {
        assert!("(".repeat(4_000).parse::<Selector>().is_err());
        assert!("!".repeat(4_000).parse::<Selector>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,60}|[a-z!&|=()\\[\\]\", ]{0,60}") {
            if let Err(error) = text.parse::<Selector>() {
                let _ = error.to_string();
            }
        }
    }
}
