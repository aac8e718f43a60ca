// Answers on their way to the server, in order. Each is kept until the server has acknowledged it, and carries a
// client_key, so that one which is sent again, after a reload or a lost connection, is still one label.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 20000;

export class Outbox {
  // post(path, body): sends; changed(): called whenever something was added, sent or failed;
  // refused(item, error): the server does not want it, and it was taken out; recovered(): all is sent, after trouble
  constructor(store, post, { changed, refused, recovered }) {
    Object.assign(this, { store, post, changed, refused, recovered });
    this.hadTrouble = false;
    this.wait = FIRST_WAIT_MS;
    this.flying = null; // key of the one that is being sent
    this.trouble = null;
    this.running = null;
    addEventListener("online", () => this.flush());
    document.addEventListener("visibilitychange", () => document.hidden || this.flush());
  }
  get items() { return this.store.read("outbox", []); }
  set items(items) { this.store.write("outbox", items); }
  get tokens() { return new Set(this.items.map((item) => item.body.token)); }

  add(path, body) {
    this.items = [...this.items, { path, body }];
    this.changed();
  }
  // Take back the last one if it has not been sent; null where it is too late.
  takeBack(token) {
    const items = this.items;
    const last = items.at(-1);
    if (!last || last.body.token !== token || last.tried || last.body.client_key === this.flying) return null;
    this.items = items.slice(0, -1);
    this.changed();
    return last;
  }
  // Send all; true when nothing is left.
  flush() {
    clearTimeout(this.timer);
    this.running ??= this.alone(() => this.sendAll()).finally(() => { this.running = null; }).then((all) => {
      if (all && this.hadTrouble) {
        this.hadTrouble = false;
        this.recovered();
      }
      return all;
    });
    return this.running;
  }
  alone(work) { // two tabs share one outbox
    return navigator.locks ? navigator.locks.request(`${this.store.name}:outbox`, work) : work();
  }
  async sendAll() {
    for (let items = this.items; items.length; items = this.items) {
      const item = items[0];
      this.flying = item.body.client_key;
      // from here on it may have arrived, whatever we hear: it is no longer ours alone to take back
      this.items = [{ ...item, tried: true }, ...items.slice(1)];
      try {
        await this.post(item.path, item.body);
      } catch (error) {
        this.flying = null;
        if (error.isPassing || error.status === 401 || (error.status === 403 && !item.barred)) {
          if (error.status === 403) this.change(item, { barred: true });
          this.trouble = error;
          this.hadTrouble = true;
          this.changed();
          this.timer = setTimeout(() => this.flush(), this.wait);
          this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
          return false;
        }
        this.drop(item);
        this.refused(item, error);
        continue;
      }
      this.flying = null;
      this.wait = FIRST_WAIT_MS;
      this.trouble = null;
      this.drop(item);
    }
    return true;
  }
  change(item, more) {
    this.items = this.items.map((one) => one.body.client_key === item.body.client_key ? { ...one, ...more } : one);
  }
  drop(item) {
    this.items = this.items.filter((one) => one.body.client_key !== item.body.client_key);
    this.changed();
  }
}
