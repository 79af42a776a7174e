// What scripts say, in the reader's language: pages carry the translations in a block of data, and none in English.
// Messages are those of app/locales; placeholders are named as there, `_("Tried %(count)s times", { count })`.

const block = document.getElementById("texts");
const TEXTS = block ? JSON.parse(block.textContent) : {};
const FORMS = new Intl.PluralRules(document.documentElement.lang || "en");

/**
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
function filled(text, values) {
  return text.replace(/%(?:\((\w+)\)s|%)/g, (all, name) => (name === undefined ? "%" : String(values[name])));
}

/**
 * The message in the reader's language, with the values in their places.
 * @param {string} message
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function _(message, values = {}) {
  return filled(TEXTS[message] ?? message, values);
}

/**
 * The form for `num` things; `%(num)s` stands for the number itself.
 * @param {string} one
 * @param {string} many
 * @param {number} num
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function ngettext(one, many, num, values = {}) {
  const forms = TEXTS[one];
  return filled(forms ? forms[FORMS.select(num)] ?? forms.other : num === 1 ? one : many, { num, ...values });
}
