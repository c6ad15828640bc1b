//! Opens the user's browser for a sign-in.

use webbrowser::{Browser, BrowserOptions};

use super::AuthError;
use crate::{Error, ErrorKind, platform::http::parse_url};

/// Opens the user's browser at the address of a sign-in: https, or http on loopback. Show the address too, because a browser may open where
/// nobody looks, or not at all, e.g. over SSH.
///
/// The address is an argument of the program that is started, so that others on this machine may see it; that of a sign-in holds no token and
/// no secret. The `webbrowser` crate, which starts the program, logs it at debug level. On Linux and BSD, `BROWSER` names the program, if it is
/// set; one that runs in the terminal is waited for.
///
/// # Errors
/// [`AuthError::Invalid`] for other addresses; [`AuthError::System`] when there is no browser.
pub fn open_browser(url: &str) -> Result<(), AuthError> {
    let url = parse_url("address to open", url).map_err(AuthError::Invalid)?;
    // What a browser prints would stand among the program's own words.
    webbrowser::open_browser_with_options(Browser::Default, url.as_str(), BrowserOptions::new().with_suppress_output(true))
        .map_err(|error| {
            AuthError::System(
                Error::new(ErrorKind::Store, "no browser can be opened; show the address instead").with_source(error),
            )
        })
}
