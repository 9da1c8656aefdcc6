//! Webhooks: signed JSON to any address, and answers by signed callback.
