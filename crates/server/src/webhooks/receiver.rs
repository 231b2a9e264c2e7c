//! Whom a webhook goes to, what it wants to hear, and how it knows that we speak: Standard Webhooks' signature over CloudEvents.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use tidegate_control::account::{Line, WORDS};
use ureq::Agent;

use crate::outbound;

const SECRET_BYTES_MIN: usize = 24;
/// What a receiver says that wants no more.
const GONE: u16 = 410;

/// A receiver as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    name: String,
    url: String,
    /// A file with the secret; `whsec_` and base64, or any other text.
    secret_file: PathBuf,
    /// The acts that it wants to hear of; all without it.
    #[serde(default)]
    what: Vec<String>,
    /// Certificates (PEM) that the receiver may show.
    ca_file: Option<PathBuf>,
}

/// A receiver.
pub(crate) struct Receiver {
    /// Its name, also that of the file that keeps how far it has got.
    pub(super) name: String,
    url: String,
    secret: Vec<u8>,
    what: Vec<String>,
    agent: Agent,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The receiver has it.
    Yes,
    /// Not yet: why.
    NotYet(String),
    /// It wants no more.
    Never,
}

impl Receiver {
    pub(super) fn new(settings: Settings) -> anyhow::Result<Receiver> {
        let Settings { name, url, secret_file, what, ca_file } = settings;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        ensure!(
            !name.is_empty() && name.len() <= 40 && name.bytes().all(plain),
            "name {name:?}: expected up to 40 of a-z, 0-9 and hyphen"
        );
        let context = || format!("webhook {name}");
        let agent = outbound::agent(&url, ca_file.as_deref()).with_context(context)?;
        if let Some(word) = what.iter().find(|word| !WORDS.contains(&word.as_str())) {
            bail!("{}: what {word:?}: expected some of {}", context(), WORDS.join(", "));
        }
        let text = std::fs::read_to_string(&secret_file)
            .with_context(|| format!("{}: secret_file {}", context(), secret_file.display()))?;
        let secret = match text.trim().strip_prefix("whsec_") {
            Some(coded) => STANDARD
                .decode(coded)
                .with_context(|| format!("{}: the secret after whsec_ is no base64", context()))?,
            None => text.trim().as_bytes().to_vec(),
        };
        ensure!(
            secret.len() >= SECRET_BYTES_MIN,
            "{}: the secret has {} bytes, expected at least {SECRET_BYTES_MIN}",
            context(),
            secret.len()
        );
        Ok(Receiver { name, url, secret, what, agent })
    }

    /// Whether it wants to hear of this.
    pub(super) fn wants(&self, line: &Line) -> bool {
        self.what.is_empty() || self.what.iter().any(|word| word == line.what)
    }

    /// Tries once.
    pub(super) fn send(&self, id: &str, body: &[u8], now_s: u64) -> Delivered {
        let request = self.agent.post(&self.url).content_type("application/cloudevents+json; charset=utf-8");
        let request = request
            .header("webhook-id", id)
            .header("webhook-timestamp", now_s.to_string())
            .header("webhook-signature", format!("v1,{}", self.signature(id, now_s, body)));
        match request.send(body) {
            Ok(answer) if answer.status().is_success() => Delivered::Yes,
            Ok(answer) if answer.status().as_u16() == GONE => Delivered::Never,
            Ok(answer) => Delivered::NotYet(format!("it answered {}", answer.status())),
            Err(error) => Delivered::NotYet(error.to_string()),
        }
    }

    fn signature(&self, id: &str, now_s: u64, body: &[u8]) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return String::new() };
        mac.update(format!("{id}.{now_s}.").as_bytes());
        mac.update(body);
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &std::path::Path, secret: &str, rest: &str) -> anyhow::Result<Receiver> {
        let file = folder.join("secret");
        std::fs::write(&file, secret).unwrap();
        let text = format!("name = \"ops\"\nsecret_file = {file:?}\n{rest}");
        Receiver::new(toml::from_str(&text)?)
    }

    #[test]
    fn the_signature_is_the_one_of_the_standards_example() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let receiver = settings(folder.path(), secret, "url = \"https://example.org/\"").unwrap();
        let signature = receiver.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn settings_that_cannot_be_used_say_what_would_be_right() {
        let folder = tempfile::tempdir().unwrap();
        let good = "a secret that is long enough";
        for (secret, rest, part) in [
            (good, "url = \"http://example.org/\"", "expected https://"),
            (good, "url = \"https://example.org/\"\nwhat = [\"nonsense\"]", "expected some of approved"),
            ("short", "url = \"https://example.org/\"", "expected at least 24"),
            ("whsec_???", "url = \"https://example.org/\"", "no base64"),
            (good, "url = \"https://example.org/\"\nca_file = \"/nowhere\"", "ca_file /nowhere"),
            (good, "url = \"https://example.org/\"\nmore = 1", "unknown field"),
        ] {
            let problem = settings(folder.path(), secret, rest).map(|_| ()).map_err(|error| format!("{error:#}"));
            assert!(problem.clone().is_err_and(|problem| problem.contains(part)), "{rest}: {problem:?}");
        }
    }
}
