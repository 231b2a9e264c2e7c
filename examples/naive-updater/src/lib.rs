//! What the world had: fetch and apply at once, no guard.
