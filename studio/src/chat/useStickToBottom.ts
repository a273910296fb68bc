import { useCallback, useEffect, useRef, useState } from "react";

/** Pixels from the end that still count as being there. */
const NEAR = 32;

/**
 * Keeps a growing list at its end as long as the reader is there, and lets go when they scroll up.
 *
 * With `follows` false it stays where it is. Only a scroll upwards lets go: growth alone moves the end away too, and must not.
 */
export function useStickToBottom(follows: boolean) {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const stuck = useRef(follows);
  const [atEnd, setAtEnd] = useState(true);

  const toEnd = useCallback(() => {
    const box = scroller.current;
    if (!box) return;
    stuck.current = true;
    setAtEnd(true);
    box.scrollTop = box.scrollHeight;
  }, []);

  useEffect(() => {
    const box = scroller.current;
    const inner = content.current;
    if (!box || !inner || !follows) return;
    let before = box.scrollTop;
    const onScroll = () => {
      const near = box.scrollHeight - box.clientHeight - box.scrollTop <= NEAR;
      if (near) stuck.current = true;
      else if (box.scrollTop < before) stuck.current = false;
      before = box.scrollTop;
      setAtEnd(stuck.current);
    };
    const follow = new ResizeObserver(() => {
      if (stuck.current) box.scrollTop = box.scrollHeight;
    });
    follow.observe(inner);
    follow.observe(box);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      follow.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  }, [follows]);

  return { scroller, content, atEnd, toEnd };
}
