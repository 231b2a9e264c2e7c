//! Signing in by a link that is good once, and what is said where that did not work.

use maud::{Markup, html};

use crate::frame;
use crate::phrases::prose;

/// Where nobody is signed in. `provider` is who else says who somebody is, by name; `to` the page that was asked for.
pub fn nobody(provider: Option<&str>, to: &str) -> String {
    let body = html! {
        h1 { "Sign in" }
        @if let Some(provider) = provider {
            p { a.button href="/console/oidc" { "Sign in with " (provider) } }
            h2 { "With a link" }
        }
        p { "A link that is good once, for five minutes, is made where you are logged in already:" }
        pre tabindex="0" { "tidegate console" }
        p { "Opening it here signs this browser in, as you and with your role. Nothing is ever approved by being signed in." }
        section aria-labelledby="by-token" {
            h2 id="by-token" { "With a token" }
            form.act method="post" action="/console/token" {
                input type="hidden" name="to" value=(to);
                label { "Your operator's token" input type="password" name="token" required maxlength="200" autocomplete="current-password"; }
                button type="submit" { "Sign in" }
            }
        }
    };
    frame::outside("Sign in", &body)
}

/// Where somebody who comes from a provider is signed in. `to` is where they go on.
pub fn lead_on(to: &str) -> String {
    let body = html! { h1 { "Signed in" } p { a href=(to) { "To the page" } } };
    frame::leading_on("Signed in", to, &body)
}

/// The page behind a link, and as whom it signs in: it does when somebody presses the button, not when a program looks at the link.
pub fn enter(code: &str, who: &str) -> String {
    let body = html! {
        h1 { "Sign in to Tidegate as " (who) }
        form.enter method="post" action="/console/enter" {
            input type="hidden" name="code" value=(code);
            button type="submit" autofocus { "Sign this browser in" }
        }
        p { "It stays signed in for twelve hours, or until you sign out or your operator's token ends." }
    };
    frame::outside("Sign in", &body)
}

/// Where nobody is signed in by what they brought.
pub fn shut_out(what: &str, detail: &str) -> String {
    frame::outside(what, &sorry(what, detail))
}

/// Where something is not there or not allowed.
pub fn refused(what: &str, detail: &str) -> String {
    frame::astray(what, &sorry(what, detail))
}

fn sorry(what: &str, detail: &str) -> Markup {
    html! { h1 { (what) } p { (prose(detail)) } p { a href="/console/" { "To the overview" } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_leaves_as_text() {
        let hostile = "\"><script>alert(1)</script>";
        for page in [
            nobody(Some(hostile), hostile),
            lead_on(hostile),
            enter(hostile, hostile),
            refused(hostile, hostile),
            shut_out(hostile, hostile),
        ] {
            assert!(!page.contains("<script>alert"), "{page}");
            assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        }
    }
}
