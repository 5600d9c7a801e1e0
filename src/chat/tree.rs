//! The conversation as a tree of messages.
