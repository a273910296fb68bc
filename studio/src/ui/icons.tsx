import type { ReactNode } from "react";

/** Icons are drawn here, on a grid of 20, in the colour of the text; names stand beside them. */
function icon(paths: ReactNode) {
  return function Icon({ size = 20 }: { size?: number }) {
    return (
      <svg
        width={size}
        height={size}
        viewBox="0 0 20 20"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.5"
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
        focusable="false"
      >
        {paths}
      </svg>
    );
  };
}

export const BrandIcon = icon(<path d="M3.5 5h13M3.5 10h13M3.5 15h7.5" strokeWidth="2" />);
export const ChatIcon = icon(<path d="M3 4.5h14v9.5H9l-4 3v-3H3z" />);
export const AssistantsIcon = icon(
  <>
    <circle cx="10" cy="6.5" r="3.5" />
    <path d="M3.5 17c.6-3.6 3-5.5 6.5-5.5s5.9 1.9 6.5 5.5" />
  </>,
);
export const PromptsIcon = icon(
  <path d="M7 3.5c-2 0-2 1-2 3s0 3-2 3.5c2 .5 2 1.5 2 3.5s0 3 2 3M13 3.5c2 0 2 1 2 3s0 3 2 3.5c-2 .5-2 1.5-2 3.5s0 3-2 3" />,
);
export const ModelsIcon = icon(<path d="M10 2.5 17 6v8l-7 3.5L3 14V6zM3 6l7 3.5L17 6M10 9.5v8" />);
export const TokenizersIcon = icon(
  <path d="M2.5 7.5h4v5h-4zM8.5 7.5h2.5v5H8.5zM13 7.5h4.5v5H13z" />,
);
export const TrainingIcon = icon(<path d="M3 3v14h14M5.5 5.5C7 12 10 14 16.5 14.5" />);
export const SettingsIcon = icon(
  <>
    <path d="M3 6h7M14 6h3M3 14h3M10 14h7" />
    <circle cx="12" cy="6" r="2" />
    <circle cx="8" cy="14" r="2" />
  </>,
);
export const KeysIcon = icon(
  <>
    <rect x="2" y="5" width="16" height="10" rx="2" />
    <path d="M5.5 8.5h.01M9 8.5h.01M12.5 8.5h.01M6.5 12h7" />
  </>,
);
export const SendIcon = icon(<path d="M10 16.5v-13M4.5 9 10 3.5 15.5 9" strokeWidth="1.8" />);
export const StopIcon = icon(
  <rect x="5" y="5" width="10" height="10" rx="1.5" fill="currentColor" stroke="none" />,
);
export const CopyIcon = icon(
  <>
    <rect x="7" y="7" width="10" height="10" rx="2" />
    <path d="M13 7V5a2 2 0 0 0-2-2H5a2 2 0 0 0-2 2v6a2 2 0 0 0 2 2h2" />
  </>,
);
export const CheckIcon = icon(<path d="m4 10.5 4 4 8-9" />);
export const RetryIcon = icon(<path d="M16.5 10a6.5 6.5 0 1 1-2-4.7M16.5 2.5v3.5H13" />);
export const EditIcon = icon(<path d="M12.5 4.5 15.5 7.5 7 16H4v-3zM11 6l3 3" />);
export const WarnIcon = icon(<path d="M10 3 18 16.5H2zM10 8v4M10 14.3v.01" />);
export const InfoIcon = icon(
  <>
    <circle cx="10" cy="10" r="7.5" />
    <path d="M10 9v5M10 6.2v.01" />
  </>,
);
export const CloseIcon = icon(<path d="m5 5 10 10M15 5 5 15" />);
export const PlusIcon = icon(<path d="M10 4v12M4 10h12" />);
export const LeftIcon = icon(<path d="m12 5-5 5 5 5" />);
export const RightIcon = icon(<path d="m8 5 5 5-5 5" />);
export const ImageIcon = icon(
  <>
    <rect x="3" y="4" width="14" height="12" rx="1.5" />
    <path d="m3 14 4-4 3 3 3-3 4 4M8 7.5h.01" />
  </>,
);
export const JobsIcon = icon(
  <path d="M10 2.5v8M6.5 7.5 10 11l3.5-3.5M3 11.5v5h14v-5M3 13.5h3.5l1 1.5h5l1-1.5H17" />,
);
export const PauseIcon = icon(<path d="M7 4.5v11M13 4.5v11" strokeWidth="1.8" />);
export const RunIcon = icon(<path d="M6 4v12l10-6z" />);
export const ClockIcon = icon(
  <>
    <circle cx="10" cy="10" r="7.5" />
    <path d="M10 5.5V10l3 2" />
  </>,
);
export const UnknownIcon = icon(
  <>
    <circle cx="10" cy="10" r="7.5" />
    <path d="M7.8 7.8a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.7M10 14v.01" />
  </>,
);
export const NoIcon = icon(
  <>
    <circle cx="10" cy="10" r="7.5" />
    <path d="m4.8 15.2 10.4-10.4" />
  </>,
);
export const MoreIcon = icon(<path d="M4.5 10h.01M10 10h.01M15.5 10h.01" strokeWidth="2.4" />);
export const TrashIcon = icon(<path d="M3.5 5.5h13M8 5.5v-2h4v2M5.5 5.5l.8 11h7.4l.8-11" />);
export const FileIcon = icon(<path d="M5 2.5h6.5L15.5 6.5v11H5zM11 2.5V7h4.5" />);
export const AttachIcon = icon(
  <path d="m15.5 9-5.8 5.8a3.2 3.2 0 0 1-4.5-4.5l6.4-6.4a2.1 2.1 0 0 1 3 3l-6.2 6.2a1 1 0 0 1-1.5-1.4L12.2 6.4" />,
);
export const ThumbUpIcon = icon(
  <path d="M6.5 9v7.5H3.5V9zM6.5 9.5l3-6.5c1.5 0 2.2.9 2 2.3L11 8h4.2c1 0 1.6.8 1.4 1.7l-1.2 5.4c-.2.9-.8 1.4-1.7 1.4H6.5" />,
);
export const ThumbDownIcon = icon(
  <path d="M6.5 11V3.5H3.5V11zM6.5 10.5l3 6.5c1.5 0 2.2-.9 2-2.3L11 12h4.2c1 0 1.6-.8 1.4-1.7l-1.2-5.4c-.2-.9-.8-1.4-1.7-1.4H6.5" />,
);
export const InsideIcon = icon(
  <>
    <circle cx="9" cy="9" r="5.5" />
    <path d="m13 13 4.5 4.5M7 9h4" />
  </>,
);
export const ColumnsIcon = icon(<path d="M3 4h14v12H3zM10 4v12" />);
export const UpIcon = icon(<path d="m5 12 5-5 5 5" />);
export const DownIcon = icon(<path d="m5 8 5 5 5-5" />);
export const GoOnIcon = icon(<path d="M4 4v7h10M10.5 7.5 14 11l-3.5 3.5" />);
export const SteerIcon = icon(<path d="M10 17v-7L5 5M10 10l5-5M5 9V5h4M15 9V5h-4" />);
export const SearchIcon = icon(
  <>
    <circle cx="9" cy="9" r="5.5" />
    <path d="m13 13 4 4" />
  </>,
);
export const PinIcon = icon(<path d="M7 3h6l-1 5 3 3H5l3-3zM10 11v6" />);
export const ListIcon = icon(<path d="M3 4h14v12H3zM8 4v12" />);
