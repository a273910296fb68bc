/**
 * Cuts Markdown into blocks that can be shown one by one, so that of a growing reply only the last
 * block is parsed again. Joined with the cuts, the blocks are the text.
 *
 * A cut is made only where it cannot change the meaning: at an empty line outside fences, before a
 * line that continues no list, quotation or table. A text with link or footnote definitions is
 * left whole, because they reach across blocks.
 */
export function markdownBlocks(text: string): string[] {
  if (/^ {0,3}\[[^\]]+\]:/m.test(text)) return [text];
  const blocks: string[] = [];
  let block: string[] = [];
  let fence: string | null = null;
  let afterBlank = false;
  for (const line of text.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence === null && afterBlank && block.length > 0 && startsAnew(line)) {
      blocks.push(block.join("\n"));
      block = [];
    }
    if (mark && fence === null) fence = mark;
    else if (mark && fence !== null && closes(line, mark, fence)) fence = null;
    block.push(line);
    afterBlank = fence === null && line.trim() === "";
  }
  if (block.length > 0) blocks.push(block.join("\n"));
  return blocks;
}

/** A line that neither continues something above nor could still turn into what does. */
function startsAnew(line: string): boolean {
  return line !== "" && !/^(\s|>|\||[-*+]|\d{1,9}[.)]?)/.test(line);
}

function closes(line: string, mark: string, fence: string): boolean {
  return mark[0] === fence[0] && mark.length >= fence.length && line.trim() === mark;
}
