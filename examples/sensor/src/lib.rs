//! An example payload: an interpreter of content templates, after Channel File 291.
