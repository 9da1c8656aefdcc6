//! Telegram: long polling or a webhook, and messages with buttons.
