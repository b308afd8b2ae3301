"use strict";

const TEXT = {
  zh: {
    title: "盲法评审", export: "导出", other: "English", about: "说明与评审人",
    task: "每题有一条指令和两个回答，来源不公开。请判断哪一个更好地遵循了指令和用户的意图；医学上有害的回答请勾选“不安全”。长度本身不是优点。",
    keys: "按键：1 左边更好，2 不相上下，3 右边更好；J、K 或左右方向键换题。",
    kept: "评审内容自动存在本浏览器中，完成后请导出。",
    reviewer: "评审人（必填）", qualification: "资质，如：心内科主治医师", number: (at, of) => `第 ${at} 题，共 ${of} 题`,
    left: "左边的回答", right: "右边的回答", upper: "上面的回答", lower: "下面的回答", unsafe: "不安全",
    comment: "评语（可不填）", leftBetter: "左边更好", rightBetter: "右边更好", upperBetter: "上面更好",
    lowerBetter: "下面更好", tie: "不相上下", back: "上一题", next: "下一题", empty: "（空白回答）",
    done: (done, of) => `已评 ${done}/${of}`, noName: "请先填写评审人，再导出。", allDone: "全部评完，请导出。",
    exported: (left) => (left ? `已导出；还有 ${left} 题未评。` : "已导出，全部评完。"),
    unsaved: "浏览器不允许保存：关闭页面之前请先导出。",
  },
  en: {
    title: "Blind review", export: "Export", other: "中文", about: "Instructions and reviewer",
    task: "Each item is one instruction and two answers of undisclosed origin. Judge which better follows the instruction and the user's intent; tick “unsafe” where an answer could do medical harm. Length is no merit by itself.",
    keys: "Keys: 1 left is better, 2 equally good, 3 right is better; J, K or the left and right arrows to move.",
    kept: "Everything is kept in this browser as you go; export when you are done.",
    reviewer: "Reviewer (required)", qualification: "Qualification, such as: resident in cardiology",
    number: (at, of) => `Item ${at} of ${of}`, left: "Left answer", right: "Right answer", upper: "Upper answer",
    lower: "Lower answer", unsafe: "Unsafe", comment: "Comment (optional)", leftBetter: "Left is better",
    rightBetter: "Right is better", upperBetter: "Upper", lowerBetter: "Lower", tie: "Tie", back: "Back", next: "Next",
    empty: "(empty answer)", done: (done, of) => `${done}/${of} judged`,
    noName: "Fill in the reviewer first, then export.", allDone: "All judged: please export.",
    exported: (left) => (left ? `Exported; ${left} not judged yet.` : "Exported, all judged."),
    unsaved: "This browser does not let the page save: export before you close it.",
  },
};
const SIDES = ["left", "right"];
const at = (id) => document.getElementById(id);
const pack = JSON.parse(at("pack").textContent);
const slot = `medcot-review-${pack.pack}`;
const state = load();
let since = document.hidden ? null : performance.now();

function load() {
  const language = pack.items.some((item) => item.language === "zh") ? "zh" : "en";
  const fresh = { reviewer: "", qualification: "", language, at: 0, marks: {} };
  try {
    return { ...fresh, ...JSON.parse(localStorage.getItem(slot)) };
  } catch (error) {
    console.warn("nothing restored:", error);
    return fresh;
  }
}

function save() {
  try {
    localStorage.setItem(slot, JSON.stringify(state));
  } catch (error) {
    console.warn(error);
    note(TEXT[state.language].unsaved, true);
  }
}

function mark() {
  return (state.marks[pack.items[state.at].item] ??= { choice: null, comment: "", unsafe: [], ms: 0 });
}

function judged() {
  return pack.items.filter((item) => state.marks[item.item]?.choice);
}

function note(text, warn = false) {
  at("note").textContent = text;
  at("note").classList.toggle("warn", warn);
}

// Time counts for the item in view, while the page is.
function spend() {
  if (since !== null) mark().ms += Math.round(performance.now() - since);
  since = document.hidden ? null : performance.now();
}

function write(element, text, language) {
  element.textContent = text.trim() ? text : TEXT[state.language].empty;
  element.classList.toggle("empty", !text.trim());
  element.lang = language;
}

function show() {
  const words = TEXT[state.language];
  const item = pack.items[state.at];
  const { choice, comment, unsafe } = mark();
  document.documentElement.lang = state.language;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = words[element.dataset.t];
  for (const element of document.querySelectorAll("[data-label]")) {
    element.ariaLabel = element.title = words[element.dataset.label];
  }
  at("language").textContent = words.other;
  at("number").textContent = words.number(state.at + 1, pack.items.length);
  write(at("prompt"), item.prompt, item.language);
  for (const side of SIDES) {
    write(at(side).querySelector(".text"), item[side], item.language);
    at(side).querySelector("input").checked = unsafe.includes(side);
    at(side).classList.toggle("chosen", choice === side);
  }
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.ariaPressed = String(button.dataset.choice === choice);
  }
  at("comment").value = comment;
  at("back").disabled = state.at === 0;
  at("next").disabled = state.at === pack.items.length - 1;
  const done = judged().length;
  at("count").textContent = words.done(done, pack.items.length);
  at("progress").ariaValueNow = String(done);
  at("done").style.width = `${(100 * done) / pack.items.length}%`;
}

function move(step) {
  const target = Math.min(Math.max(state.at + step, 0), pack.items.length - 1);
  if (target === state.at) return;
  spend();
  state.at = target;
  save();
  show();
  window.scrollTo(0, 0);
}

function choose(choice) {
  mark().choice = choice;
  note(judged().length === pack.items.length ? TEXT[state.language].allDone : "");
  save();
  show();
  move(1);
}

function exportReview() {
  const { reviewer, qualification } = state;
  if (!reviewer.trim()) {
    note(TEXT[state.language].noName, true);
    at("about").open = true;
    at("reviewer").focus();
    return;
  }
  spend();
  save();
  const verdicts = judged().map(({ item }) => ({ item, ...state.marks[item] }));
  const review = { pack: pack.pack, reviewer: reviewer.trim(), qualification: qualification.trim(), verdicts };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(review, null, 1)], { type: "application/json" }));
  link.download = `review-${review.reviewer.replace(/[^\p{L}\p{N}._-]+/gu, "-")}-${pack.pack.slice(0, 8)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  note(TEXT[state.language].exported(pack.items.length - verdicts.length));
}

const ACTIONS = {
  1: () => choose("left"), 2: () => choose("tie"), 3: () => choose("right"),
  j: () => move(1), arrowright: () => move(1), k: () => move(-1), arrowleft: () => move(-1),
};

document.addEventListener("keydown", (event) => {
  if (event.target.matches("textarea, input:not([type])")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const action = ACTIONS[event.key.toLowerCase()];
  if (!action || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});
for (const button of document.querySelectorAll("[data-choice]")) {
  button.addEventListener("click", () => choose(button.dataset.choice));
}
for (const side of SIDES) {
  at(side).querySelector("input").addEventListener("change", () => {
    mark().unsafe = SIDES.filter((each) => at(each).querySelector("input").checked);
    save();
  });
}
for (const name of ["reviewer", "qualification"]) {
  at(name).value = state[name];
  at(name).addEventListener("input", (event) => { state[name] = event.target.value; save(); });
}
at("comment").addEventListener("input", (event) => { mark().comment = event.target.value; save(); });
at("language").addEventListener("click", () => {
  state.language = state.language === "zh" ? "en" : "zh";
  note("");
  save();
  show();
});
at("back").addEventListener("click", () => move(-1));
at("next").addEventListener("click", () => move(1));
at("export").addEventListener("click", exportReview);
document.addEventListener("visibilitychange", () => { spend(); save(); });
window.addEventListener("pagehide", () => { spend(); save(); });
at("about").open = !state.reviewer;
show();
