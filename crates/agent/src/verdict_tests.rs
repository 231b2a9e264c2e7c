//! Each thing that must be refused, refused for the right reason.
