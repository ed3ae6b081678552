"use strict";
// Plays the stream whose address this page has: by HTTP-FLV where the browser can, else by HLS through hls.js,
// else by the browser's own HLS. It waits for the publisher, and for its return, for as long as it is open.
(() => {
  const byId = id => document.getElementById(id);
  const video = byId("video");
  const scripts = byId("script").dataset;
  const path = location.pathname;
  const [, app, name] = path.split("/");
  const urls = { flv: at(`${path}.flv`), hls: at(`${path}.m3u8`) };
  const LOOK_MS = 250; // how often the picture is looked at
  const AWAY_MS = 2500; // a picture that stands for so long is told of
  const STUCK_MS = 8000; // and one that stands for so long, though its stream is on air, is begun anew
  const FAR_S = 6; // a player that is further behind leaps ahead
  const LONGEST_REST_MS = 10000;

  function at(way) {
    return new URL(way + location.search, location.href).href;
  }

  const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

  // ---- what is shown -------------------------------------------------------------------------

  let words = WORDS.en;
  let shown = { state: "looking", message: "looking", advice: "", values: {} };

  function fill(text, values) {
    return text.replace(/\{(\w+)\}/g, (_, word) => values[word] ?? "");
  }

  function show(state, message = "", advice = "", values = {}) {
    shown = { state, message, advice, values };
    document.body.className = `${state} ${window.self === window.top ? "" : "framed"}`;
    byId("badge").textContent = words.badge[state];
    byId("message").textContent = message && fill(words[message], values);
    byId("advice").textContent = advice && fill(words[advice], values);
    byId("again").hidden = state !== "failed";
    if (state !== "playing" && state !== "paused" && state !== "away") byId("stats").textContent = "";
  }

  function speak(language) {
    words = WORDS[language];
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    byId("language").textContent = words.other;
    byId("language").lang = language === "zh" ? "en" : "zh-CN";
    byId("again").textContent = words.again;
    byId("start").ariaLabel = words.start;
    byId("sound").lastElementChild.textContent = words.sound;
    show(shown.state, shown.message, shown.advice, shown.values);
    showFormats();
    showStats();
  }

  // A frame may have no storage at all.
  function remembered() {
    try { return localStorage.getItem("penstock-language"); } catch { return null; }
  }
  function remember(language) {
    try { localStorage.setItem("penstock-language", language); } catch { /* then it is asked of the browser again */ }
  }

  const NAMES = { avc: "H.264", hevc: "HEVC", av1: "AV1", aac: "AAC", mp3: "MP3", opus: "Opus", flac: "FLAC", ac3: "AC-3" };
  const codecs = found => [found.video, found.audio].filter(Boolean).map(word => NAMES[word] ?? word.toUpperCase());

  function showStats() {
    if (!current || !["playing", "paused", "away"].includes(shown.state)) return;
    const behind = current.behind();
    const quality = video.getVideoPlaybackQuality?.();
    byId("stats").textContent = [
      current.title(),
      video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : words.soundOnly,
      codecs(onAir).join(" + "),
      shown.state === "playing" && Number.isFinite(behind) && behind >= 0 ? fill(words.behind, { seconds: behind.toFixed(1) }) : "",
      quality && video.videoWidth ? fill(words.dropped, { count: quality.droppedVideoFrames }) : "",
    ].filter(Boolean).join("  ·  ");
  }

  // ---- formats -------------------------------------------------------------------------------

  const loaded = new Map();

  function load(url) {
    if (!loaded.has(url)) {
      loaded.set(url, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = resolve;
        script.onerror = () => { loaded.delete(url); script.remove(); reject(new Error("network")); };
        document.head.append(script);
      }));
    }
    return loaded.get(url);
  }

  const hasMse = Boolean(window.MediaSource ?? window.ManagedMediaSource);
  const FORMATS = {
    flv: { title: () => "HTTP-FLV", can: () => hasMse && Boolean(window.ReadableStream), begin: beginFlv },
    hls: { title: () => "HLS", can: () => hasMse, begin: beginHls },
    native: {
      title: () => `HLS (${words.native})`,
      can: () => Boolean(video.canPlayType("application/vnd.apple.mpegurl")),
      begin: beginNative,
    },
  };

  // One that was asked for in the address (#hls) is the only one.
  function wanted() {
    const chosen = location.hash.slice(1);
    return Object.keys(FORMATS).filter(format => FORMATS[format].can() && (!(chosen in FORMATS) || format === chosen));
  }

  function showFormats() {
    byId("formats").replaceChildren(...Object.entries(FORMATS).filter(([, format]) => format.can()).map(([key, format]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = format.title();
      button.ariaPressed = String(current?.format === key);
      button.onclick = () => { location.hash = key; };
      return button;
    }));
  }

  // Each begins to play, and calls `end` once with why that is over: "ended", "codec", "stuck" or "network".
  // What comes back ends it, and knows how far behind live it is.

  async function beginFlv(end) {
    await load(scripts.mpegts);
    mpegts.LoggingControl.enableAll = false;
    const player = mpegts.createPlayer({ type: "flv", isLive: true, url: urls.flv }, {
      enableStashBuffer: false, lazyLoad: false, deferLoadAfterSourceOpen: false,
      autoCleanupSourceBuffer: true, autoCleanupMaxBackwardDuration: 40, autoCleanupMinBackwardDuration: 20,
      liveSync: true, liveSyncMaxLatency: 2, liveSyncTargetLatency: 1, liveSyncPlaybackRate: 1.1,
    });
    player.on(mpegts.Events.LOADING_COMPLETE, () => end("ended"));
    player.on(mpegts.Events.ERROR, type => end(type === mpegts.ErrorTypes.NETWORK_ERROR ? "network" : "codec"));
    player.attachMediaElement(video);
    player.load();
    return {
      destroy: () => player.destroy(),
      behind: () => lastEnd() - video.currentTime,
      // Where a publisher was away nothing is buffered, and no browser leaps over that by itself.
      mend: () => leap(),
    };
  }

  async function beginHls(end) {
    await load(scripts.hls);
    if (!Hls.isSupported()) throw new Error("codec");
    // Low latency comes by itself with a playlist that has parts.
    const hls = new Hls({ enableWorker: false, lowLatencyMode: true, backBufferLength: 20, maxLiveSyncPlaybackRate: 1.1 });
    const CODEC = [Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR, Hls.ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
      Hls.ErrorDetails.BUFFER_ADD_CODEC_ERROR];
    let mended = 0;
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (!data.fatal) return;
      if (CODEC.includes(data.details)) end("codec");
      else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && ++mended < 3) hls.recoverMediaError();
      else end(data.type === Hls.ErrorTypes.NETWORK_ERROR ? "network" : "stuck");
    });
    hls.loadSource(urls.hls);
    hls.attachMedia(video);
    return { destroy: () => hls.destroy(), behind: () => hls.latency || NaN, mend: () => {} };
  }

  async function beginNative(end) {
    video.onerror = () => end(video.error?.code === 2 ? "network" : "codec");
    video.src = urls.hls;
    return {
      destroy: () => {},
      behind: () => video.seekable.length ? video.seekable.end(video.seekable.length - 1) - video.currentTime : NaN,
      mend: () => {},
    };
  }

  function lastEnd() {
    return video.buffered.length ? video.buffered.end(video.buffered.length - 1) : NaN;
  }

  function leap() {
    const ranges = video.buffered;
    for (let at = 0; at < ranges.length; at += 1) {
      if (video.readyState < 3 && ranges.start(at) > video.currentTime && ranges.end(at) - ranges.start(at) > 0.3) {
        video.currentTime = ranges.start(at) + 0.01;
        return;
      }
    }
    if (!video.paused && lastEnd() - video.currentTime > FAR_S) video.currentTime = lastEnd() - 1;
  }

  // ---- one play, from its beginning to its end -------------------------------------------------

  let current = null; // what plays
  let onAir = { on_air: false, video: "", audio: "" };
  let restart = () => {};

  async function play(format) {
    let end;
    const over = new Promise(resolve => { end = resolve; });
    restart = () => end("again");
    current = { format, title: FORMATS[format].title, behind: () => NaN };
    show("starting", "starting");
    showFormats();
    let player = null, watching = 0, moved = false;
    video.onended = () => end("ended");
    try {
      player = await FORMATS[format].begin(end);
      current = { ...current, ...player };
      start();
      watching = setInterval(look(player, end, () => { moved = true; }), LOOK_MS);
      return { why: await over, moved };
    } catch (error) {
      return { why: error.message === "network" ? "network" : "codec", moved };
    } finally {
      clearInterval(watching);
      restart = () => {};
      video.onended = video.onerror = null;
      player?.destroy();
      video.removeAttribute("src");
      video.load();
      current = null;
      byId("start").hidden = byId("sound").hidden = true;
    }
  }

  // Muted, every browser lets a page begin by itself; some phones that save power do not.
  function start() {
    byId("start").hidden = true;
    video.play().catch(error => { if (error.name === "NotAllowedError") byId("start").hidden = false; });
  }

  function look(player, end, onMove) {
    let time = video.currentTime, movedAt = performance.now(), isAsking = false;
    return async () => {
      const now = performance.now();
      // Browsers rest what nobody sees.
      if (document.hidden) movedAt = now;
      byId("sound").hidden = !video.muted || !onAir.audio || shown.state !== "playing";
      if (video.currentTime !== time || (video.paused && video.readyState > 2)) {
        time = video.currentTime;
        movedAt = now;
        if (video.readyState > 2 || video.currentTime) {
          if (!video.paused) onMove();
          const state = video.paused ? "paused" : "playing";
          if (shown.state !== state) show(state);
          if (!video.paused) byId("start").hidden = true;
        }
      }
      player.mend();
      if (now - movedAt > AWAY_MS && shown.state === "playing") show("away", "away", "awayAdvice");
      if (now - movedAt > STUCK_MS && !isAsking) {
        isAsking = true;
        movedAt = now;
        const found = await ask().catch(() => null);
        isAsking = false;
        if (found?.on_air && video.currentTime === time) end("stuck");
      }
    };
  }

  // ---- from one play to the next -----------------------------------------------------------------

  // "on-air" answers at once, "until-on-air" as soon as the stream is, or after a while that it is not.
  async function ask(what = "on-air") {
    const answer = await fetch(at(`/~penstock/${what}${path}`), { cache: "no-store" });
    if (!answer.ok) throw Object.assign(new Error("refused"), { why: (await answer.text()).trim() });
    return answer.json();
  }

  async function untilOnAir() {
    for (let what = "on-air"; ; ) {
      const askedAt = performance.now();
      try {
        onAir = await ask(what);
        if (onAir.on_air) return;
        show("waiting", "waiting", "waitingAdvice", { name: `${app}/${name}` });
        if (what === "on-air") {
          what = "until-on-air";
          continue;
        }
      } catch (error) {
        if (error.message === "refused") show("failed", "refused", "refusedAdvice", { why: error.why });
        else show("looking", "offline", "offlineAdvice");
        what = "on-air";
      }
      await sleep(Math.max(0, 2000 - (performance.now() - askedAt)));
    }
  }

  // A tab that was opened behind another begins when it is looked at.
  function untilSeen() {
    return new Promise(resolve => {
      const look = () => {
        if (document.hidden) return;
        document.removeEventListener("visibilitychange", look);
        resolve();
      };
      document.addEventListener("visibilitychange", look);
      look();
    });
  }

  // Plays in the first format that goes; true if one did for a while.
  async function playOnce() {
    const formats = wanted();
    let found = { why: "unsupported", moved: false };
    let isRefused = false; // a format that can play at all has another end than one that cannot play this
    for (const format of formats) {
      found = await play(format);
      if (found.moved || found.why !== "codec") break;
      isRefused = true;
    }
    if (found.why === "unsupported") {
      await fail("unsupported", "unsupportedAdvice");
    } else if (isRefused && !found.moved && found.why !== "again") {
      await fail("codec", "codecAdvice", { codecs: codecs(onAir).join(" + ") || "?" });
    }
    return found.moved || found.why === "again";
  }

  async function fail(message, advice, values = {}) {
    show("failed", message, advice, values);
    const before = codecs(onAir).join();
    let isAgain = false;
    const pressed = new Promise(resolve => { byId("again").onclick = resolve; restart = resolve; }).then(() => { isAgain = true; });
    // Another publisher may send what this browser can play.
    while (!isAgain) {
      await Promise.race([pressed, sleep(LONGEST_REST_MS)]);
      const now = await ask().catch(() => onAir);
      if (!now.on_air || codecs(now).join() !== before) break;
    }
  }

  async function run() {
    let rest = 0;
    for (;;) {
      await untilOnAir();
      await untilSeen();
      rest = await playOnce() ? 0 : Math.min(LONGEST_REST_MS, rest * 2 || 500);
      await sleep(rest);
    }
  }

  // ---- what people do ----------------------------------------------------------------------------

  byId("start").onclick = start;
  byId("sound").onclick = () => { video.muted = false; byId("sound").hidden = true; };
  byId("language").onclick = () => {
    const language = words === WORDS.zh ? "en" : "zh";
    remember(language);
    speak(language);
  };
  window.addEventListener("hashchange", () => restart());
  setInterval(showStats, 1000);

  byId("name").textContent = name;
  document.title = `${name} · Penstock`;
  byId("flv-url").textContent = urls.flv;
  byId("hls-url").textContent = urls.hls;
  speak(WORDS[remembered()] ? remembered() : /^zh\b/i.test(navigator.language) ? "zh" : "en");
  run();
})();
