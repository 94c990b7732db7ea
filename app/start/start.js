// Says so where the page can't start: the logic that would say it may be what is missing. Once it listens, it takes the
// sentence back.
const tell = () => {
  const isStarting = document.getElementById("demo").disabled; // until the logic listens
  if (isStarting) document.getElementById("no-start").hidden = false;
};

addEventListener("error", tell, true); // of a script that isn't there, which nobody beside it hears
addEventListener("unhandledrejection", tell);
addEventListener("DOMContentLoaded", () => {
  // What PyScript says of its own troubles, it adds to the page.
  const look = () => document.querySelector("body > .py-error") && tell();
  new MutationObserver(look).observe(document.body, { childList: true });
  // Without this one it waits for ever, without a word.
  fetch("app/page.json").then((response) => response.ok || tell(), tell);
});
