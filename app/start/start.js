// Shows a sentence where the page can't start, because the page's logic, which would say so, may be what is missing. Once
// that logic listens, it hides the sentence.
const tell = () => {
  const isStarting = document.getElementById("demo").disabled; // until the logic listens
  if (isStarting) document.getElementById("no-start").hidden = false;
};

addEventListener("error", tell, true); // a missing script's error doesn't bubble, so it is captured
addEventListener("unhandledrejection", tell);
addEventListener("DOMContentLoaded", () => {
  // PyScript reports its own errors as elements of the page.
  const look = () => document.querySelector("body > .py-error") && tell();
  new MutationObserver(look).observe(document.body, { childList: true });
  // Without its configuration PyScript waits for ever and reports nothing.
  fetch("app/start/page.json").then((response) => response.ok || tell(), tell);
});
