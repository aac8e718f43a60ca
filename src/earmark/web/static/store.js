// What is to outlive a reload: in localStorage, one key for each person and task. Where that is refused: in memory.

export class Store {
  constructor(name) {
    this.name = name;
    this.memory = {};
  }
  read(key, otherwise) {
    try {
      const text = localStorage.getItem(`${this.name}:${key}`);
      return text === null ? this.memory[key] ?? otherwise : JSON.parse(text);
    } catch {
      return this.memory[key] ?? otherwise;
    }
  }
  write(key, value) {
    this.memory[key] = value;
    try {
      localStorage.setItem(`${this.name}:${key}`, JSON.stringify(value));
      delete this.memory[key];
    } catch { /* full or forbidden: it lasts as long as this page */ }
  }
}
