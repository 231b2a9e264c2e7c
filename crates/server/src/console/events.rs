//! The part of a page that changes, sent whole whenever it did.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use tidegate_control::contract::Seq;
use tidegate_domain::digest::Digest;
use tokio::time::{MissedTickBehavior, interval};

use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;
use crate::sessions::Stream;

/// How often it is looked whether anything changed.
const LOOK: Duration = Duration::from_millis(250);
/// How often the page is made anew where nothing was recorded.
const AT_LEAST: Duration = Duration::from_secs(5);

/// What makes the part.
type Make = Arc<dyn Fn(&App) -> Result<String, Sorry> + Send + Sync>;

/// Keeps a part up to date until the viewer goes, is signed out, or the server stops.
pub(super) fn stream(
    app: Arc<App>,
    who: SignedIn,
    make: impl Fn(&App) -> Result<String, Sorry> + Send + Sync + 'static,
) -> Result<Response, Sorry> {
    let too_many = || Sorry::NotNow("Too many pages are kept up to date already: this one can be reloaded.".to_owned());
    let place = app.sessions.stream(&who.name).ok_or_else(too_many)?;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch =
        Watch { app, session: who.session, make: Arc::new(make), sent: None, looked: None, look, _place: place };
    let events = unfold(watch, |mut watch| async move {
        let part = watch.next().await?;
        Some((Ok::<_, Infallible>(Event::default().event("part").data(part)), watch))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

struct Watch {
    app: Arc<App>,
    session: String,
    make: Make,
    /// The digest of what was sent last.
    sent: Option<Digest>,
    /// What was recorded by the last look, how many halts were not, and when that was.
    looked: Option<(Seq, usize, Instant)>,
    look: tokio::time::Interval,
    _place: Stream,
}

impl Watch {
    /// Something was recorded, a halt stands, or so much time has passed that what depends on the clock alone may be another.
    fn may_have_changed(&mut self) -> bool {
        let Ok(last) = self.app.desk.state().map(|state| state.last()) else { return false };
        let stands = self.app.halts.pending().len();
        let (now, known) = (Instant::now(), self.looked);
        let same = known.is_some_and(|(seq, stood, at)| seq == last && stood == stands && now - at < AT_LEAST);
        if !same {
            self.looked = Some((last, stands, now));
        }
        !same
    }

    /// The next part that is another than the last; none when it is over.
    async fn next(&mut self) -> Option<String> {
        let mut stopped = self.app.stopped.clone();
        loop {
            tokio::select! {
                _ = self.look.tick() => {}
                _ = stopped.wait_for(|stop| *stop) => return None,
            }
            SignedIn::of(&self.app, &self.session)?;
            if !self.may_have_changed() {
                continue;
            }
            // A server that reads its records anew has nothing to show for a while.
            let (app, make) = (Arc::clone(&self.app), Arc::clone(&self.make));
            // Made apart: however large it is, no request waits for it.
            let Ok(Ok(part)) = tokio::task::spawn_blocking(move || make(&app)).await else { continue };
            let digest = Digest::of(part.as_bytes());
            if self.sent != Some(digest) {
                self.sent = Some(digest);
                return Some(part);
            }
        }
    }
}
