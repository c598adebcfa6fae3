// The clipboard.

/**
 * Copies text and says so on the button for two seconds, and to screen readers in the page's #copy-status.
 * The clipboard API is there in secure contexts only (https, and loopback over http); elsewhere the old command still works.
 */
export async function copyFrom(button, text) {
  const copied = await write(text);
  // A second click while the word is still shown must not take that word for the button's own.
  button.dataset.label ??= button.textContent;
  button.textContent = copied ? "Copied" : "Not copied";
  const spoken = document.getElementById("copy-status");
  if (spoken) spoken.textContent = button.textContent;
  clearTimeout(Number(button.dataset.timer));
  button.dataset.timer = String(setTimeout(() => {
    button.textContent = button.dataset.label;
    if (spoken) spoken.textContent = "";
  }, 2000));
  return copied;
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return writeTheOldWay(text);
  }
}

function writeTheOldWay(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
    focused?.focus?.();
  }
}
