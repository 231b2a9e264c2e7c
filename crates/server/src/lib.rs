//! The HTTP shell around control and store: device API and operator API.
