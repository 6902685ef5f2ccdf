// Modules do not load from file: addresses, so this script is none.
if (location.protocol === "file:") {
  document.getElementById("status").textContent =
    "A browser runs this page only from a server, not from a file: `cargo xtask web` serves it, and so does any host of static files.";
}
