import { useText } from "../i18n";
import { ListIcon } from "../ui/icons";
import { useDrawer } from "./context";

/** Opens the list of conversations; nothing where the list is there anyway. */
export function ListButton() {
  const text = useText();
  const open = useDrawer();
  if (!open) return null;
  return (
    <button
      type="button"
      className="button quiet square"
      aria-label={text.sidebar.open}
      title={text.sidebar.open}
      aria-haspopup="dialog"
      onClick={open}
    >
      <ListIcon />
    </button>
  );
}
