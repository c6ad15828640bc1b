//! `localStorage` where there is one: windows have it, workers do not, and private modes may refuse it.

use js_sys::Reflect;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = Object)]
    type JsStorage;
    #[wasm_bindgen(method, catch, js_name = getItem)]
    fn get_item(this: &JsStorage, key: &str) -> Result<Option<String>, JsValue>;
    #[wasm_bindgen(method, catch, js_name = setItem)]
    fn set_item(this: &JsStorage, key: &str, value: &str) -> Result<(), JsValue>;
}

/// Text that outlives the page, or nothing.
pub(crate) struct Storage(Option<JsStorage>);

impl Storage {
    pub(crate) fn open() -> Self {
        let storage = Reflect::get(&js_sys::global(), &"localStorage".into());
        Self(storage.ok().filter(JsValue::is_object).map(JsCast::unchecked_into))
    }

    pub(crate) fn read(&self, key: &str) -> Option<String> {
        self.0.as_ref()?.get_item(key).ok().flatten()
    }

    /// A full or forbidden storage changes nothing: what was to be kept is kept for this page alone.
    pub(crate) fn write(&self, key: &str, value: &str) {
        if let Some(storage) = &self.0 {
            let _ = storage.set_item(key, value);
        }
    }
}
