//! Slack: Socket Mode or signed events, and messages of blocks.
