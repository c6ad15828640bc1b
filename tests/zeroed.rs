//! The memory of secrets is overwritten before it is given back: an allocator looks at every block that is freed, or left by growing, for the
//! text of a secret.
//!
//! What no type of this crate can reach is not looked at: the buffers of the HTTP client and of TLS, and the caller's own copies.

#![cfg(all(not(target_family = "wasm"), feature = "oauth"))]
#![allow(unsafe_code, reason = "an allocator is unsafe to write; this one passes everything on to the system's")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    slice,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use amplitude_sdk::server::{
    AccessToken, ClientSecret, IdToken, ManagementKey, OrgSecretKey, PersonalAccessToken, RefreshToken, RegistrationToken,
    ScimKey, SecretKey, SecretText, ServerDeploymentKey,
    oauth::{EncryptedTokenStore, EncryptionKey, FileTokenStore, MemoryTokenStore, StoreKey, StoredTokens, TokenStore as _},
};

/// In every secret of these tests.
const SENTINEL: &[u8] = b"fake-sentinel-0123456789";

struct Inspector;

static LOOKS: AtomicBool = AtomicBool::new(false);
/// Blocks that were given back with a secret in them.
static FOUND: AtomicUsize = AtomicUsize::new(0);

impl Inspector {
    fn look(bytes: &[u8]) {
        if LOOKS.load(Ordering::SeqCst) && bytes.windows(SENTINEL.len()).any(|window| window == SENTINEL) {
            FOUND.fetch_add(1, Ordering::SeqCst);
        }
    }
}

// SAFETY: every call goes on to the system's allocator with the arguments that came; `realloc` is left to the trait, which allocates, copies and
// frees, so that the block that is left is looked at, too.
unsafe impl GlobalAlloc for Inspector {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's. Zeroed, so that all of a block can be read when it is freed.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block was allocated by `alloc` with this layout, so all of it is initialised, and nobody else uses it any more.
        Self::look(unsafe { slice::from_raw_parts(block, layout.size()) });
        // SAFETY: as the caller's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Inspector = Inspector;

/// How many blocks with a secret are given back meanwhile. The tests of this file are one, because they share the count.
fn left_behind(act: impl FnOnce()) -> usize {
    FOUND.store(0, Ordering::SeqCst);
    LOOKS.store(true, Ordering::SeqCst);
    act();
    LOOKS.store(false, Ordering::SeqCst);
    FOUND.load(Ordering::SeqCst)
}

/// With room left over, as text has that was read.
fn sentinel() -> String {
    let mut text = String::with_capacity(200);
    text.push_str(str::from_utf8(SENTINEL).unwrap());
    text
}

#[test]
fn dropped_secrets_are_overwritten() {
    assert_eq!(left_behind(|| drop(sentinel())), 1, "the inspector sees nothing");

    macro_rules! check {
        ($($secret:ident)*) => {$(
            let left = left_behind(|| {
                let secret = $secret::new(sentinel()).unwrap();
                drop(secret.clone());
                drop(secret);
                // What is refused was a secret, too.
                $secret::new([sentinel(), "\n".to_owned()].concat()).unwrap_err();
                $secret::new(sentinel() + &" ".repeat(20_000)).unwrap_err();
            });
            // The two texts that this test puts together leave their parts behind: two parts, and one that grows.
            let own = left_behind(|| {
                drop(zeroize::Zeroizing::new([sentinel(), "\n".to_owned()].concat()));
                drop(zeroize::Zeroizing::new(sentinel() + &" ".repeat(20_000)));
            });
            assert_eq!(left, own, stringify!($secret));
        )*};
    }
    check! {
        AccessToken ClientSecret IdToken ManagementKey OrgSecretKey PersonalAccessToken RefreshToken RegistrationToken ScimKey
        SecretKey SecretText ServerDeploymentKey
    }

    let hex = "66616b652d73656e74696e656c2d303132333435363738390000000000000000";
    let left = left_behind(|| {
        let key = EncryptionKey::parse(hex).unwrap();
        drop(key.clone());
        let mut bytes = [0; 32];
        bytes[..SENTINEL.len()].copy_from_slice(SENTINEL);
        drop(EncryptionKey::from_bytes(&bytes));
    });
    assert_eq!(left, 0, "EncryptionKey");

    stores_leave_nothing();
}

fn stores_leave_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let key = StoreKey::new("https://as.example.com", "demo");
    let folder = tempfile::tempdir().unwrap();
    let json = || {
        // Room from the start, so that this test leaves nothing behind itself.
        let mut text = String::with_capacity(1000);
        text.push_str(r#"{"version":1,"generation":1,"issuer":"https://as.example.com","client_id":"demo","resource":null,"#);
        text.push_str(r#""profile":"default","obtained_at":1,"access_token":""#);
        text.push_str(str::from_utf8(SENTINEL).unwrap());
        text.push_str("\"}");
        text
    };
    let secret = EncryptionKey::from_bytes(&[7; 32]);
    // What a store starts with, its thread for example, is no matter here.
    runtime.block_on(async { FileTokenStore::new(folder.path().join("warm")).load(&key).await }).unwrap();
    let left = left_behind(|| {
        runtime.block_on(async {
            let files = FileTokenStore::new(folder.path().join("tokens"));
            let sealed = EncryptedTokenStore::new(FileTokenStore::new(folder.path().join("sealed")), secret);
            let memory = MemoryTokenStore::new();
            let tokens = StoredTokens::from_json(json()).unwrap();
            files.save(&key, &tokens, None).await.unwrap();
            sealed.save(&key, &tokens, None).await.unwrap();
            memory.save(&key, &tokens, None).await.unwrap();
            for _ in 0..2 {
                assert!(files.load(&key).await.unwrap().is_some());
                assert!(sealed.load(&key).await.unwrap().is_some());
                assert!(memory.load(&key).await.unwrap().is_some());
            }
            memory.delete(&key).await.unwrap();
            StoredTokens::from_json(json().replace("version", "virsion")).unwrap_err();
        });
    });
    // The text that `replace` starts from.
    assert_eq!(left, 1, "stores");
}
