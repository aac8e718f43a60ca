// Sound, spectrogram with a moving playhead, and waveform of one clip.

const $ = (id) => document.getElementById(id);

export class Player {
  constructor() {
    this.audio = new Audio();
    this.audio.preload = "auto";
    this.peaks = [];
    this.seconds = 0;
    const { audio } = this;
    for (const kind of ["play", "pause", "ended"]) audio.addEventListener(kind, () => this.tellState());
    audio.addEventListener("seeked", () => this.draw());
    audio.addEventListener("timeupdate", () => this.draw());
    $("play").addEventListener("click", () => this.toggle());
    $("replay").addEventListener("click", () => this.replay());
    $("loop").addEventListener("click", () => this.setLoop(!audio.loop));
    $("speed").addEventListener("change", (event) => { this.rate = Number(event.target.value); });
    $("seek").addEventListener("input", (event) => this.seek(event.target.value / 1000));
    for (const surface of [$("picture"), $("wave")]) {
      surface.addEventListener("pointerdown", (event) => {
        const box = surface.getBoundingClientRect();
        this.seek((event.clientX - box.left) / box.width);
      });
    }
    new ResizeObserver(() => this.drawWave()).observe($("wave"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawWave());
  }
  // media: {audio, picture} as object URLs, and peaks
  show(media, seconds) {
    this.audio.pause();
    this.seconds = seconds;
    this.audio.src = media.audio;
    this.audio.defaultPlaybackRate = this.audio.playbackRate = this.rate ?? 1;
    $("spectrogram").src = media.picture;
    this.peaks = media.peaks;
    $("length").textContent = seconds.toFixed(1);
    $("loading").hidden = true;
    this.draw();
    this.drawWave();
  }
  clear() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    $("spectrogram").removeAttribute("src");
    $("loading").hidden = false;
    this.peaks = [];
    this.drawWave();
  }
  set rate(value) {
    this.speed = value;
    this.audio.defaultPlaybackRate = this.audio.playbackRate = value;
  }
  get rate() { return this.speed; }
  setLoop(on) {
    this.audio.loop = on;
    $("loop").setAttribute("aria-pressed", String(on));
  }
  async play() {
    try { await this.audio.play(); } catch { /* browsers want a first touch or key before they play */ }
  }
  toggle() { return this.audio.paused ? this.play() : this.audio.pause(); }
  replay() { this.audio.currentTime = 0; return this.play(); }
  seek(share) {
    this.audio.currentTime = Math.max(0, Math.min(1, share)) * this.seconds;
    this.draw();
  }
  step(seconds) { this.seek((this.audio.currentTime + seconds) / (this.seconds || 1)); }

  tellState() {
    $("play").textContent = this.audio.paused ? "Play" : "Pause";
    cancelAnimationFrame(this.frame);
    const move = () => {
      this.draw();
      if (!this.audio.paused) this.frame = requestAnimationFrame(move);
    };
    move();
  }
  draw() {
    const share = this.seconds ? Math.min(1, this.audio.currentTime / this.seconds) : 0;
    $("head").style.left = `${100 * share}%`;
    $("now").textContent = this.audio.currentTime.toFixed(1);
    $("seek").value = Math.round(1000 * share);
    $("seek").setAttribute("aria-valuetext", `${this.audio.currentTime.toFixed(1)} seconds`);
  }
  drawWave() {
    const canvas = $("wave");
    const ratio = devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.fillStyle = getComputedStyle(canvas).color;
    const step = width / (this.peaks.length || 1);
    const loudest = Math.max(10, ...this.peaks.map(([low, high]) => Math.max(-low, high)));
    this.peaks.forEach(([low, high], i) => {
      const top = height / 2 * (1 - high / loudest);
      const bottom = height / 2 * (1 - low / loudest);
      context.fillRect(i * step, top, Math.max(step, 0.5), Math.max(1, bottom - top));
    });
  }
}
