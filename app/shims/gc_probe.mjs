// Has Pyodide skip its probe of WebAssembly's garbage collection in WebKit: the probe crashes the tab on iPadOS 18.
//
// Pyodide 0.27 leaves it out by itself where navigator.platform names an iPad or an iPhone, but iPads say "MacIntel"
// there. So in all of WebKit it is told that this is an iPad. Nothing else looks at the platform, and without what the
// probe brings, Python calls a few functions by way of JavaScript.

// Chromium's user agent names WebKit too. Every browser on iPads and iPhones is WebKit, whatever its name.
const { userAgent } = navigator;
export const isSkipped = userAgent.includes("AppleWebKit/") && !/Chrom(e|ium)\//.test(userAgent);

if (isSkipped) Object.defineProperty(navigator, "platform", { value: "iPad", configurable: true });
