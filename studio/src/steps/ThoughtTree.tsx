import { useText } from "../i18n";
import { Long } from "./Long";
import { placed, type Placed, type Tree } from "./tree";

const ACROSS = 46;
const DOWN = 56;
const RADIUS = 16;
const EDGE = 24;

/** A tree of thoughts as a small picture, and as a table. */
export function ThoughtTree({ tree }: { tree: Tree }) {
  const text = useText();
  const words = text.steps.tree;
  const nodes = placed(tree);
  const chosen = new Set(tree.chosen);
  const best = tree.chosen.at(-1) ?? "";
  return (
    <figure className="thoughts">
      <div className="scroll" tabIndex={0} role="group" aria-label={words.legend}>
        <Picture nodes={nodes} chosen={chosen} label={words.label(String(nodes.length), best)} />
      </div>
      <figcaption className="small soft">{words.legend}</figcaption>
      <details>
        <summary>{words.asTable}</summary>
        <div className="scroll" tabIndex={0} role="group" aria-label={words.asTable}>
          <table>
            <thead>
              <tr>
                <th scope="col">{words.place}</th>
                <th scope="col">{words.thought}</th>
                <th scope="col">{words.score}</th>
                <th scope="col">{words.kept}</th>
                <th scope="col">{words.chosen}</th>
              </tr>
            </thead>
            <tbody>
              {tree.thoughts.map((one) => (
                <tr key={one.id}>
                  <th scope="row">{one.id}</th>
                  <td>
                    <Long text={one.text} />
                  </td>
                  <td>{one.score > 0 ? one.score : words.noScore}</td>
                  <td>{one.is_kept ? words.yes : words.no}</td>
                  <td>{chosen.has(one.id) ? words.yes : words.no}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

interface PictureProps {
  nodes: readonly Placed[];
  chosen: ReadonlySet<string>;
  label: string;
}

function Picture({ nodes, chosen, label }: PictureProps) {
  const by = new Map(nodes.map((node) => [node.id, node]));
  const widest = Math.max(0, ...nodes.map(({ x }) => x));
  const deepest = Math.max(0, ...nodes.map(({ level }) => level));
  const root = { x: widest / 2, level: 0 };
  const at = ({ x, level }: { x: number; level: number }) => ({
    x: EDGE + x * ACROSS,
    y: EDGE + level * DOWN,
  });
  const width = 2 * EDGE + widest * ACROSS;
  const height = 2 * EDGE + deepest * DOWN;
  const top = at(root);
  return (
    <svg role="img" aria-label={label} width={width} height={height}>
      {nodes.map((node) => {
        const from = at(by.get(node.parent) ?? root);
        const to = at(node);
        return (
          <line
            key={node.id}
            x1={from.x}
            y1={from.y}
            x2={to.x}
            y2={to.y}
            className={chosen.has(node.id) ? "edge chosen" : "edge"}
          />
        );
      })}
      <circle cx={top.x} cy={top.y} r={5} className="root" />
      {nodes.map((node) => {
        const { x, y } = at(node);
        const kind = ["node", node.is_kept ? "kept" : "", chosen.has(node.id) ? "chosen" : ""].join(
          " ",
        );
        return (
          <g key={node.id} className={kind}>
            <title>{`${node.id}: ${node.text.slice(0, 200)}`}</title>
            <circle cx={x} cy={y} r={RADIUS} />
            <text x={x} y={y} textAnchor="middle" dominantBaseline="central">
              {node.score > 0 ? node.score : "–"}
            </text>
          </g>
        );
      })}
    </svg>
  );
}
