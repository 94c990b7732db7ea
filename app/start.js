// Says so where the page can't start: the logic that would say it may be what is missing. Once it listens, it takes the
// sentence back.
"use strict";

const tell = () => {
  const isStarting = document.getElementById("demo").disabled; // until the logic listens
  if (isStarting) document.getElementById("no-start").hidden = false;
};

addEventListener("error", tell, true); // a script that isn't there is told of to nobody but itself
addEventListener("unhandledrejection", tell);
